package sdktest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Request is what a client sends, and what is around it. It is not changed, so it may be sent again.
type Request struct {
	// Method; "" is GET.
	Method string
	// Target is path and query; "" is "/", and so is what is no URL. With scheme and host those count, else "http://example.test".
	Target string
	// Header has the headers; the order of different names is not kept.
	Header http.Header
	// Body of the request; its length is the Content-Length.
	Body []byte
	// Params are the route's variables: nothing is matched here.
	Params map[string]string
	// ClientIP; "" is 192.0.2.1.
	ClientIP string
	// Payload of the middleware, as it stands in the configuration; one without a JSON form fails the first phase.
	Payload map[string]any
	// Upstream answers what the handler lets pass; nil, or a nil Answer, is 200 without a body. It gets the headers as the handler
	// left them, and is called by Do, or on a goroutine of Dial's.
	Upstream func(request *http.Request) *Answer
	// LeaveAfter lets the client leave when it has so many bytes of a streamed answer: Write gives ErrClientGone. 0: it stays.
	LeaveAfter int
	// Service: the entry is used as a plugin service, so that its request filter and its logging run alone, and it has to answer.
	// Next does so where it has set a status or a body, else it is 502.
	Service bool
}

// Answer is an upstream's: what the response filters see.
type Answer struct {
	// Status; 0 is 200.
	Status int
	// Header has the headers.
	Header http.Header
	// Body of the answer.
	Body []byte
}

// Get makes a GET request; headers come in pairs of name and value, a name without a value is dropped.
func Get(target string, headers ...string) *Request {
	request := &Request{Target: target, Header: http.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return request
}

// snapshot is the request as a gateway would send it.
func (r *Request) snapshot() *wire.Snapshot {
	target, err := url.Parse(r.Target)
	if err != nil || r.Target == "" {
		target = &url.URL{Path: "/"}
	}
	s := &wire.Snapshot{
		Method: r.Method, Scheme: "http", Host: "example.test", Path: target.EscapedPath(), Query: target.RawQuery,
		ClientIP: r.ClientIP, TimestampMs: uint64(time.Now().UnixMilli()), ContentLength: wire.Some(uint64(len(r.Body))),
		RequestID: "sdktest", Headers: wireHeaders(r.Header),
	}
	if s.Method == "" {
		s.Method = http.MethodGet
	}
	if s.Path == "" {
		s.Path = "/"
	}
	if s.ClientIP == "" {
		s.ClientIP = "192.0.2.1"
	}
	if target.Scheme == "https" {
		s.Scheme, s.TLS = "https", true
	}
	if target.Host != "" {
		s.Host = strings.TrimSuffix(target.Host, ":"+target.Port())
		if port, err := strconv.ParseUint(target.Port(), 10, 16); err == nil {
			s.Port = uint16(port)
		}
	}
	for name, value := range r.Params {
		s.Params = append(s.Params, wire.Param{Name: name, Value: value})
	}
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	s.Websocket = upgrade
	return s
}

func wireHeaders(header http.Header) []wire.Header {
	var list []wire.Header
	for name, values := range header {
		for _, value := range values {
			list = append(list, wire.Header{Name: strings.ToLower(name), Value: value})
		}
	}
	return list
}

func httpHeaders(list []wire.Header) http.Header {
	header := http.Header{}
	for _, one := range list {
		header.Add(one.Name, one.Value)
	}
	return header
}
