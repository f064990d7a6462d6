package ffi

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// questions is the method that asks for a part, and what its answer means.
var questions = [session.PartError + 1]struct {
	method uint32
	take   func(r *session.Run, answer []byte) error
}{
	session.PartMethod:    {readMethod, text(func(r *session.Run) *string { return &r.Request.Method })},
	session.PartURL:       {readURL, takeURL},
	session.PartHost:      {readHost, text(func(r *session.Run) *string { return &r.Request.Host })},
	session.PartPath:      {readPath, text(func(r *session.Run) *string { return &r.Request.Path })},
	session.PartQuery:     {readQuery, text(func(r *session.Run) *string { return &r.Request.Query })},
	session.PartParams:    {readParams, takeParams},
	session.PartHeaders:   {readRequestFields, takeHeaders},
	session.PartClientIP:  {readClientIP, text(func(r *session.Run) *string { return &r.Request.ClientIP })},
	session.PartTimestamp: {readTimestamp, func(r *session.Run, answer []byte) error { return number(answer, &r.Request.TimestampMs) }},
	session.PartLength: {readLength, func(r *session.Run, answer []byte) error {
		r.Request.ContentLength.Set = true
		return number(answer, &r.Request.ContentLength.N)
	}},
	session.PartID:      {readRequestID, text(func(r *session.Run) *string { return &r.Request.RequestID })},
	session.PartPayload: {getPayload, func(r *session.Run, answer []byte) error { r.Payload = answer; return nil }},
	session.PartStatus: {readResponseStatus, func(r *session.Run, answer []byte) error {
		var status uint64
		err := number(answer, &status)
		r.Response.Status = uint16(status)
		return err
	}},
	session.PartResponseHeaders: {readResponseFields, func(r *session.Run, answer []byte) (err error) {
		if len(answer) > 0 {
			r.Response.Headers, err = decodeHeaders(answer)
		}
		return err
	}},
	session.PartBodyBytes: {readResponseBytes, func(r *session.Run, answer []byte) error {
		r.Response.BodyLength.Set = true
		err := number(answer, &r.Response.BodyLength.N)
		r.Response.BodyBytes = r.Response.BodyLength.N
		return err
	}},
	session.PartDurationMs: {readDuration, func(r *session.Run, answer []byte) error {
		var now uint64
		err := number(answer, &now)
		if r.Phase != wire.Logging { // there it is the whole duration, else what it was when the phase began
			now -= min(now, uint64(time.Since(r.Received).Milliseconds()))
		}
		r.Response.DurationMs = now
		return err
	}},
	session.PartError: {readError, func(r *session.Run, answer []byte) error {
		if len(answer) > 0 {
			text := string(answer)
			r.Response.Error = &text
		}
		return nil
	}},
}

// Load asks for a part, once per run: an earlier middleware may have changed the request since the last one.
func (s *live) Load(r *session.Run, part session.Part) {
	if part == session.PartUpgrade {
		s.Load(r, session.PartHeaders)
		r.Request.Websocket = isUpgrade(r.Request.Headers)
		return
	}
	if part == session.PartID && !s.library.offers(readRequestID) {
		return
	}
	own := r.Own.(*run)
	own.parts.Lock()
	defer own.parts.Unlock()
	if own.known[part] {
		return
	}
	question := &questions[part]
	method := question.method
	switch {
	case method == readRequestFields && s.library.offers(readAllRequest):
		method = readAllRequest
	case method == readResponseFields && s.library.offers(readAllResponse):
		method = readAllResponse
	}
	answer, err := s.ask(nil, r.Phase, method)
	if err == nil {
		own.known[part] = true
		err = question.take(r, answer)
	}
	if err != nil {
		s.Logger().Warn("nylon plugin: a read failed", "session", s.UID(), "method", question.method, "error", err)
	}
}

func text(field func(*session.Run) *string) func(*session.Run, []byte) error {
	return func(r *session.Run, answer []byte) error {
		*field(r) = string(answer)
		return nil
	}
}

func number(answer []byte, into *uint64) error {
	n, err := strconv.ParseInt(string(answer), 10, 64)
	*into = uint64(max(n, 0))
	return err
}

// takeURL takes scheme and port; the rest of a URL has answers of its own.
func takeURL(r *session.Run, answer []byte) error {
	scheme, rest, _ := strings.Cut(string(answer), "://")
	authority, _, _ := strings.Cut(rest, "/")
	authority, _, _ = strings.Cut(authority, "?")
	r.Request.Scheme = scheme
	r.Request.TLS = scheme == "https"
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		if port, err := strconv.ParseUint(authority[colon+1:], 10, 16); err == nil {
			r.Request.Port = uint16(port)
		}
	}
	return nil
}

func takeParams(r *session.Run, answer []byte) error {
	var params map[string]string
	if err := json.Unmarshal(answer, &params); err != nil {
		return err
	}
	for name, value := range params {
		r.Request.Params = append(r.Request.Params, wire.Param{Name: name, Value: value})
	}
	return nil
}

func takeHeaders(r *session.Run, answer []byte) (err error) {
	r.Request.Headers, err = decodeHeaders(answer)
	return err
}

// isUpgrade says whether a request asks for a WebSocket (RFC 6455, 4.2.1); the original host looks at the key alone.
func isUpgrade(headers []wire.Header) bool {
	has := func(name, token string) bool {
		for _, header := range headers {
			if header.Name != name {
				continue
			}
			for each := range strings.SplitSeq(header.Value, ",") {
				if strings.EqualFold(strings.TrimSpace(each), token) {
					return true
				}
			}
		}
		return false
	}
	key := false
	for _, header := range headers {
		key = key || header.Name == "sec-websocket-key" && header.Value != ""
	}
	return key && has("upgrade", "websocket") && has("connection", "upgrade") && has("sec-websocket-version", "13")
}
