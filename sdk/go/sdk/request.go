package sdk

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Request is the request as it was when this entry got it, with what middleware before it has changed. Its setters change what goes
// on from here, not what its readers give. Over NATS, reading anything but the body needs no message and cannot fail (SPEC 10.2);
// in a library it asks the gateway, and what cannot be had when the session is over is empty, and logged.
type Request struct{ run *phaseRun }

// loaded is the request with some of its parts at least.
func (r *Request) loaded(parts ...session.Part) *wire.Snapshot {
	for _, part := range parts {
		r.run.port.Load(r.run.run, part)
	}
	return r.run.run.Request
}

// ID is the gateway's id of the request, which is in its log, in its error answers and in X-Request-Id towards the upstream. ""
// in a library under the original gateway, which does not tell it.
func (r *Request) ID() string { return r.loaded(session.PartID).RequestID }

// Method is the verb as received; methods are case-sensitive (RFC 9110, 9.1).
func (r *Request) Method() string { return r.loaded(session.PartMethod).Method }

// URL is scheme://host[:port]path[?query]; the ports 80 and 443 are left out.
func (r *Request) URL() string {
	s := r.loaded(session.PartURL, session.PartHost, session.PartPath, session.PartQuery)
	url := s.Scheme + "://" + s.Host
	if s.Port != 0 && s.Port != 80 && s.Port != 443 {
		url += ":" + strconv.Itoa(int(s.Port))
	}
	url += s.Path
	if s.Query != "" {
		url += "?" + s.Query
	}
	return url
}

// Path is the path without query, not decoded; "/" at least.
func (r *Request) Path() string { return r.loaded(session.PartPath).Path }

// Query is the query without "?", not decoded; "" if there is none.
func (r *Request) Query() string { return r.loaded(session.PartQuery).Query }

// Params gives the route's variables by name, a catch-all without its star: a copy, never nil.
func (r *Request) Params() map[string]string {
	all := r.loaded(session.PartParams).Params
	params := make(map[string]string, len(all))
	for _, param := range all {
		params[param.Name] = param.Value
	}
	return params
}

// Host is the host without port; IPv6 literals keep their brackets.
func (r *Request) Host() string { return r.loaded(session.PartHost).Host }

// ClientIP is the client's address without port, or what one of the gateway's `trusted_proxies` says it is.
func (r *Request) ClientIP() string { return r.loaded(session.PartClientIP).ClientIP }

// Header gives the first value of a header, whatever the case of its name; "" if it is absent. Headers has repeats.
func (r *Request) Header(key string) string {
	key = lower(key)
	for _, header := range r.loaded(session.PartHeaders).Headers {
		if header.Name == key {
			return header.Value
		}
	}
	return ""
}

// Headers gives all headers.
func (r *Request) Headers() *Headers { return &Headers{r.loaded(session.PartHeaders).Headers} }

// RawBody is the whole body; the upstream gets it all the same. It waits until the body has come. One that cannot be had, because
// it is beyond the limit, say, gives nil and fails the phase when it ends; with RawBodyErr the handler decides.
func (r *Request) RawBody() []byte {
	body, err := r.RawBodyErr()
	if err != nil {
		r.run.doomBy(wire.FetchRequestBody, err)
		return nil
	}
	return body
}

// RawBodyErr is the whole body, never a cut one, and empty if there is none. It waits until the body has come, no longer than the
// phase may last; later calls give the same bytes, which are not to be changed. Errors: ErrBodyTooLarge, ErrNoBody in logging and
// for what has been taken (SPEC 14.7), by a BodyReader or by an upstream that got more than 32 KiB as they came, and those that end
// a session. In a library the phase that wants what is too long, or what an upstream has got, has failed by then: ErrSessionClosed.
func (r *Request) RawBodyErr() ([]byte, error) { return r.run.fetch(wire.FetchRequestBody) }

// BodyReader reads the body as it comes, of any length and at the pace of the reads, which wait for the client; nothing is asked for
// before the first. In a request filter that takes a body longer than 32 KiB (SPEC 14.7): nobody else gets it, so the handler has to
// answer, and Next to an upstream fails the request. A shorter one stays whole. One that RawBody has read before is read from
// memory, as is every body in a later phase, up to the limit of RawBodyErr. It reads until the phase, or its stream, ends; while
// it waits for the client the phase's deadline does not run (SPEC 14.13). A body that breaks off is an error, never io.EOF; so is
// one that has been taken before, ErrNoBody over NATS.
func (r *Request) BodyReader() io.ReadCloser {
	if r.run.run.Phase == wire.RequestFilter {
		return r.run.port.ReadStream(r.run.run, wire.FetchRequestStream)
	}
	return &bodyReader{request: r}
}

type bodyReader struct {
	request *Request
	rest    *bytes.Reader
	closed  bool
}

// Read reads from the fetched body.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	if b.rest == nil {
		body, err := b.request.RawBodyErr()
		if err != nil {
			return 0, err
		}
		b.rest = bytes.NewReader(body)
	}
	return b.rest.Read(p)
}

// Close ends reading.
func (b *bodyReader) Close() error {
	b.closed = true
	return nil
}

// Bytes is the Content-Length of the request in bytes; 0 if it has none, though a chunked body may follow.
func (r *Request) Bytes() int64 { return int64(r.loaded(session.PartLength).ContentLength.N) }

// Timestamp is the arrival in Unix milliseconds.
func (r *Request) Timestamp() int64 { return int64(r.loaded(session.PartTimestamp).TimestampMs) }

// SetHeader sets a header of the request that goes upstream: it replaces every spelling and repeat. A name or value that HTTP does
// not allow fails the request with 502, hop-by-hop and framing headers are ignored (SPEC 7.4). Request filter only: later it is
// ignored and logged.
func (r *Request) SetHeader(key, value string) {
	r.change(wire.Operation{Number: wire.OpSetRequestHeader, Name: key, Value: value})
}

// AddHeader adds a header to the request that goes upstream and keeps what is there; otherwise as SetHeader.
func (r *Request) AddHeader(key, value string) {
	r.change(wire.Operation{Number: wire.OpAddRequestHeader, Name: key, Value: value})
}

// RemoveHeader removes a header from the request that goes upstream, whatever the case of its name; otherwise as SetHeader.
func (r *Request) RemoveHeader(key string) {
	r.change(wire.Operation{Number: wire.OpRemoveRequestHeader, Name: key})
}

func (r *Request) change(op wire.Operation) {
	if r.run.run.Phase != wire.RequestFilter { // a gateway refuses it (SPEC 13.6)
		r.run.mu.Lock()
		defer r.run.mu.Unlock()
		r.run.ignored("a change of the request, which has been sent")
		return
	}
	op.Name = strings.ToValidUTF8(op.Name, "\ufffd") // refused by the gateway as no header name
	r.run.apply(op, nil)
}

// Headers are request headers; names are lower case (SPEC 10.3). Those that the middleware's `headers:` keep back are not there.
type Headers struct{ list []wire.Header }

// Get gives a header, whatever the case of its name: repeats joined with ", " (RFC 9110, 5.3; cookies with "; "), "" if it is absent.
func (h *Headers) Get(key string) string {
	key = lower(key)
	return strings.Join(h.Values(key), separator(key))
}

// GetAll gives all headers by their lower-case names, repeats joined as in Get: a copy.
func (h *Headers) GetAll() map[string]string { return joined(h.list) }

// Values gives every value of a header, in order; nil if it is absent.
func (h *Headers) Values(key string) []string {
	key = lower(key)
	var values []string
	for _, header := range h.list {
		if header.Name == key {
			values = append(values, header.Value)
		}
	}
	return values
}
