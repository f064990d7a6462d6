package sdk

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// Response is the response as it stands: in a request filter what End sends, later what the client gets. Changes leave with the
// end of the phase, in the order in which they were made, all or none (SPEC 13.2); readers see them at once. One that comes too
// late, or in logging, has no effect and is logged once.
type Response struct{ run *phaseRun }

// SetHeader sets a header: it replaces every spelling and repeat. A name or value that HTTP does not allow fails the request with
// 502; hop-by-hop and framing headers are ignored by the gateway, which frames the message itself (SPEC 7.4). No effect once the
// head is out: in a body filter, and behind Stream.
func (r *Response) SetHeader(key, value string) {
	r.header(wire.OpSetResponseHeader, key, value)
}

// AddHeader adds a header and keeps what is there: a second Set-Cookie. Under the original gateway, which
// cannot do that, a second one of a name in one phase fails it.
func (r *Response) AddHeader(key, value string) {
	r.header(wire.OpAddResponseHeader, key, value)
}

// RemoveHeader removes a header, whatever the case of its name.
func (r *Response) RemoveHeader(key string) {
	r.header(wire.OpRemoveResponseHeader, key, "")
}

func (r *Response) header(number uint32, key, value string) {
	key = strings.ToValidUTF8(key, "\ufffd") // refused by the gateway as no header name
	op := wire.Operation{Number: number, Name: key, Value: value}
	r.run.apply(op, func() { r.run.changes = append(r.run.changes, op) })
}

// SetStatus sets the status; one outside 200 to 999 fails the request with 502 (SPEC 7.4). No effect once the head is out.
func (r *Response) SetStatus(status uint16) {
	r.run.apply(wire.Operation{Number: wire.OpSetResponseStatus, Status: status}, func() { r.run.status = int(status) })
}

// BodyRaw replaces the whole body; an empty one blanks it. The slice may be used again afterwards. A body beyond WithMaxBody that
// does not fit into one message (128 KiB) fails the phase when it ends.
func (r *Response) BodyRaw(body []byte) {
	own := append([]byte{}, body...)
	r.run.apply(wire.Operation{Number: wire.OpSetResponseFullBody, Bytes: own}, func() { r.run.body = own })
}

// BodyJSON sets the body to the JSON form of v, and the content type. If v has none, the body stays as it was, and the phase
// fails when it ends.
func (r *Response) BodyJSON(v any) *Response {
	text, err := json.Marshal(v)
	if err != nil {
		r.run.doom(wire.FailHandler, "encoding a JSON body: "+err.Error())
		return r
	}
	return r.typed(ContentTypeJSON, text)
}

// BodyText sets the body and the content type of plain text.
func (r *Response) BodyText(s string) *Response { return r.typed(ContentTypeText, []byte(s)) }

// BodyHTML sets the body and the content type of HTML.
func (r *Response) BodyHTML(s string) *Response { return r.typed(ContentTypeHTML, []byte(s)) }

func (r *Response) typed(contentType string, body []byte) *Response {
	if r.run.run.Phase != wire.ResponseBodyFilter { // there the head is on its way
		r.SetHeader(HeaderContentType, contentType)
	}
	r.BodyRaw(body)
	return r
}

// Redirect sets status (302 unless one is given), Location and an empty body (RFC 9110, 15.4). End has to follow.
func (r *Response) Redirect(url string, code ...uint16) *Response {
	status := uint16(StatusFound)
	if len(code) > 0 {
		status = code[0]
	}
	r.SetStatus(status)
	r.SetHeader(HeaderLocation, url)
	r.BodyRaw(nil)
	return r
}

// Stream sends status and headers as they stand and turns the response into a stream (SPEC 14.1), which ends the phase by its own
// End: neither Next nor End is to follow. Request filter only, and once; otherwise, and where the phase has ended or failed, it is
// an error. A body that was set before is dropped.
func (r *Response) Stream() (*ResponseStream, error) {
	if phase := r.run.run.Phase; phase != wire.RequestFilter {
		return nil, fmt.Errorf("streaming the response in phase %d: only a request filter can", phase)
	}
	port, err := r.run.openStream()
	if err != nil {
		return nil, err
	}
	return &ResponseStream{r.run, port}, nil
}

// ReadBody is the body: what this phase has set, else in a response body filter the whole of what came, else nothing. It may wait
// for it. One that cannot be had gives nil and fails the phase, so that an unfiltered body never passes; see ReadBodyErr.
func (r *Response) ReadBody() []byte {
	body, err := r.ReadBodyErr()
	if err != nil {
		r.run.doomBy(wire.FetchResponseBody, err)
		return nil
	}
	return body
}

// ReadBodyErr is ReadBody for a handler that decides itself. The bytes are not to be changed: later calls may give the same. Errors:
// ErrBodyTooLarge, ErrNoBody in a filter that gets the body piece by piece, and those that end a session.
func (r *Response) ReadBodyErr() ([]byte, error) {
	r.run.mu.Lock()
	body, phase := r.run.body, r.run.run.Phase
	r.run.mu.Unlock()
	if body != nil {
		return append([]byte{}, body...), nil
	}
	switch {
	case phase != wire.ResponseBodyFilter:
		return []byte{}, nil
	case r.run.piecewise:
		return nil, ErrNoBody
	}
	return r.run.fetch(wire.FetchResponseBody)
}

// Status is the status that the client gets as things stand; 200 in a request filter unless one was set.
func (r *Response) Status() int {
	r.run.mu.Lock()
	set := r.run.status
	r.run.mu.Unlock()
	if set != 0 {
		return set
	}
	if response := r.loaded(session.PartStatus); response != nil {
		return int(response.Status)
	}
	return StatusOK
}

// loaded is the response with one of its parts at least; nil in a request filter.
func (r *Response) loaded(part session.Part) *wire.Response {
	if r.run.run.Response != nil {
		r.run.port.Load(r.run.run, part)
	}
	return r.run.run.Response
}

// Bytes is the length of the body in a response body filter, in bytes, 0 where it comes piece by piece and nobody has said; in logging
// it is what was sent of it to the client; before that 0.
func (r *Response) Bytes() int64 {
	response := r.loaded(session.PartBodyBytes)
	switch {
	case response == nil:
		return 0
	case r.run.run.Phase == wire.Logging:
		return int64(response.BodyBytes)
	case r.run.run.Phase == wire.ResponseBodyFilter && response.BodyLength.Set:
		return int64(response.BodyLength.N)
	case r.run.run.Phase == wire.ResponseBodyFilter && !r.run.piecewise:
		return int64(len(r.ReadBody()))
	default:
		return 0
	}
}

// Headers gives the response's headers as they stand, by lower-case names, repeats joined with ", ": a copy, never nil. In a request
// filter those that it has set.
func (r *Response) Headers() map[string]string {
	response := r.loaded(session.PartResponseHeaders)
	r.run.mu.Lock()
	defer r.run.mu.Unlock()
	if response == nil {
		return joined(r.run.effective(nil))
	}
	return joined(r.run.effective(response.Headers))
}

// Duration is the milliseconds from the request's arrival to this call; in logging, to the end of the response.
func (r *Response) Duration() int64 {
	response := r.loaded(session.PartDurationMs)
	switch {
	case response == nil:
		return time.Since(r.run.run.Received).Milliseconds()
	case r.run.run.Phase == wire.Logging:
		return int64(response.DurationMs)
	default:
		return int64(response.DurationMs) + time.Since(r.run.run.Received).Milliseconds()
	}
}

// Error says what went wrong where the gateway made the answer because of an error, or the client left; else "". It is a text for
// people. In a request filter it is "".
func (r *Response) Error() string {
	if response := r.loaded(session.PartError); response != nil && response.Error != nil {
		return *response.Error
	}
	return ""
}
