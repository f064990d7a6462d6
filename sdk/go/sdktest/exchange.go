package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// Result is what came of a request.
type Result struct {
	// Status that the client got; where a phase failed, the one that a gateway answers with (SPEC 21.1). 0 if there is no such entry.
	Status int
	// Header that the client got.
	Header http.Header
	// Body that the client got.
	Body []byte
	// Ended: the handler answered by End, and the upstream was not asked.
	Ended bool
	// Streamed: the handler answered by a stream. If that was cut, Err says so, and Body has what was written.
	Streamed bool
	// UpstreamHeader is the request's headers as the upstream got them; nil if it was not asked.
	UpstreamHeader http.Header
	// Phases that ran, in order, failed ones too: "request filter", "response filter", "response body filter", "logging".
	Phases []string
	// Err is why a phase failed, the first that did: a panic, a missed deadline (sdk.ErrPhaseTimeout), an illegal change, a stream that
	// was cut or whose client has left (sdk.ErrClientGone). Nil if all went well.
	Err error
}

// exchange carries one request through the phases.
type exchange struct {
	session *memory
	request *Request
	handler session.Handler
	result  *Result

	status  int
	headers []wire.Header
	body    []byte
	began   time.Time
}

var phaseNames = map[wire.Phase]string{
	wire.RequestFilter: "request filter", wire.ResponseFilter: "response filter",
	wire.ResponseBodyFilter: "response body filter", wire.Logging: "logging",
}

func (e *exchange) run() {
	e.began = time.Now()
	upstream := append([]wire.Header(nil), e.session.snapshot.Headers...)
	var early []wire.Operation
	action := wire.Next
	if e.has(wire.RequestFilter) {
		p := e.phase(wire.RequestFilter, nil)
		if p == nil {
			e.log()
			return
		}
		action = p.action
		if p.stream != nil {
			e.stream(p)
		}
		if p.socket != nil { // a 101 passes no filter
			e.result.Status, e.result.Header = http.StatusSwitchingProtocols, p.socket.header()
			e.log()
			return
		}
		for _, op := range p.ops {
			switch op.Number {
			case wire.OpSetRequestHeader, wire.OpAddRequestHeader, wire.OpRemoveRequestHeader:
				upstream = change(upstream, op)
			default:
				early = append(early, op)
			}
		}
	}
	switch {
	case e.result.Streamed:
		e.log()
		return
	case action == wire.Next && e.session.taken && !e.request.Service:
		e.fail(http.StatusBadGateway, errors.New("running the request filter: it took the body by BodyReader, and Next has none for the upstream"))
		e.log()
		return
	case action == wire.End, e.request.Service && answers(early):
		e.result.Ended, e.status = action == wire.End, http.StatusOK
		e.apply(early)
	case e.request.Service:
		e.fail(http.StatusBadGateway, errors.New("running a plugin service: its request filter said Next without an answer"))
		e.log()
		return
	default:
		e.ask(upstream)
		for _, op := range early { // the head is the upstream's, with the headers laid over it
			if op.Number != wire.OpSetResponseStatus && op.Number != wire.OpSetResponseFullBody {
				e.headers = change(e.headers, op)
			}
		}
	}
	if !e.request.Service {
		for _, phase := range []wire.Phase{wire.ResponseFilter, wire.ResponseBodyFilter} {
			if !e.has(phase) {
				continue
			}
			p := e.phase(phase, e.body)
			if p == nil {
				break
			}
			e.apply(p.ops)
			if p.stream != nil {
				e.body = p.stream.body
			}
		}
	}
	if e.result.Err == nil {
		e.result.Status, e.result.Header, e.result.Body = e.status, httpHeaders(e.headers), e.body
	}
	e.log()
}

func (e *exchange) has(phase wire.Phase) bool { return has(e.handler.Mask(), phase) }

// ask is the upstream's part.
func (e *exchange) ask(headers []wire.Header) {
	e.result.UpstreamHeader = httpHeaders(headers)
	answer := &Answer{}
	if e.request.Upstream != nil {
		s := e.session.snapshot
		request, err := http.NewRequest(s.Method, s.Scheme+"://"+s.Host+s.Path, bytes.NewReader(e.request.Body))
		if err != nil {
			e.fail(http.StatusBadRequest, fmt.Errorf("asking the upstream: %w", err))
			return
		}
		request.URL.RawQuery, request.Header = s.Query, e.result.UpstreamHeader
		request.Body = io.NopCloser(bytes.NewReader(e.request.Body))
		if given := e.request.Upstream(request); given != nil {
			answer = given
		}
	}
	e.status, e.headers, e.body = answer.Status, wireHeaders(answer.Header), answer.Body
	if e.status == 0 {
		e.status = http.StatusOK
	}
}

// phase runs one; nil if it failed.
func (e *exchange) phase(kind wire.Phase, body []byte) *phase {
	e.result.Phases = append(e.result.Phases, phaseNames[kind])
	payload, err := encodePayload(e.request.Payload)
	if err != nil {
		e.failed(kind, http.StatusInternalServerError, err)
		return nil
	}
	p := &phase{done: make(chan struct{}), upgraded: make(chan struct{}), response: body}
	run := &session.Run{Phase: kind, Request: e.session.snapshot, Payload: payload, Received: time.Now(), Own: p}
	if kind != wire.RequestFilter {
		run.Response = e.response(kind)
	}
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		e.handler.Run(run)
	}()
	timer := time.NewTimer(e.session.plugin.Timeout)
	defer timer.Stop()
	late := timer.C
	select {
	case <-p.upgraded:
		late = nil // a WebSocket lasts as long as it likes
	case <-p.done:
	case <-e.session.ctx.Done():
	case <-late:
		return e.overdue(kind)
	}
	select {
	case <-p.done:
	case <-e.session.ctx.Done(): // the client has left its stream, and the handler has been told
	}
	<-returned // callbacks of a session never overlap
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != nil && (p.failure != nil || p.stream.cut) {
		p.stream.cut = true
		if kind == wire.RequestFilter {
			return p // its head is out
		}
		e.result.Body = p.stream.body
		e.fail(e.status, fmt.Errorf("running the %s: %w", phaseNames[kind], why(p)))
		return nil
	}
	if p.failure != nil {
		e.failed(kind, http.StatusInternalServerError, fmt.Errorf("running the %s: %s", phaseNames[kind], p.failure.Text))
		return nil
	}
	for _, op := range p.ops {
		if err := legal(op); err != nil {
			e.failed(kind, http.StatusBadGateway, fmt.Errorf("running the %s: %w", phaseNames[kind], err))
			return nil
		}
	}
	return p
}

// overdue is a phase that has missed its deadline: it has failed.
func (e *exchange) overdue(kind wire.Phase) *phase {
	e.session.cancel(sdk.ErrPhaseTimeout)
	what := fmt.Sprintf("running the %s: neither Next nor End was called within %s", phaseNames[kind], e.session.plugin.Timeout)
	e.failed(kind, http.StatusGatewayTimeout, fmt.Errorf("%s: %w", what, sdk.ErrPhaseTimeout))
	return nil
}

// stream is what the client got of a streamed answer.
func (e *exchange) stream(p *phase) {
	e.result.Streamed, e.status = true, http.StatusOK
	e.apply(p.stream.head)
	e.result.Status, e.result.Header, e.result.Body = e.status, httpHeaders(e.headers), p.stream.body
	switch gone := context.Cause(e.session.ctx); {
	case gone != nil:
		e.result.Err = fmt.Errorf("streaming the answer: %w", gone)
	case p.stream.cut:
		e.result.Err = fmt.Errorf("streaming the answer: %w", why(p))
	}
}

func why(p *phase) error {
	if p.failure != nil {
		return fmt.Errorf("%w: %s", errCut, p.failure.Text)
	}
	return errCut
}

func (e *exchange) response(kind wire.Phase) *wire.Response {
	response := &wire.Response{
		Status: uint16(e.status), Headers: e.headers, DurationMs: uint64(time.Since(e.began).Milliseconds()),
		BodyLength: wire.Some(uint64(len(e.body))),
	}
	if kind == wire.Logging {
		response.Status, response.Headers = uint16(e.result.Status), wireHeaders(e.result.Header)
		response.BodyBytes = uint64(len(e.result.Body))
		if e.result.Err != nil {
			text := e.result.Err.Error()
			response.Error = &text
		}
	}
	return response
}

func (e *exchange) apply(ops []wire.Operation) {
	for _, op := range ops {
		switch op.Number {
		case wire.OpSetResponseStatus:
			e.status = int(op.Status)
		case wire.OpSetResponseFullBody:
			e.body = op.Bytes
		default:
			e.headers = change(e.headers, op)
		}
	}
}

// failed is a phase that has failed: a body filter's failure is 502 whatever the cause, and in logging the client has its answer
// (SPEC 21.1).
func (e *exchange) failed(kind wire.Phase, status int, err error) {
	switch {
	case kind == wire.Logging && e.result.Err == nil:
		e.result.Err = err
	case kind == wire.ResponseBodyFilter:
		e.fail(http.StatusBadGateway, err)
	default:
		e.fail(status, err)
	}
}

// fail makes the gateway's answer to a failed phase; the first failure stands.
func (e *exchange) fail(status int, err error) {
	if e.result.Err == nil {
		e.result.Status, e.result.Header, e.result.Err = status, http.Header{}, err
	}
}

// log is the last phase; it runs whatever happened, as long as the session is there.
func (e *exchange) log() {
	if e.has(wire.Logging) && e.session.ctx.Err() == nil {
		e.phase(wire.Logging, nil)
	}
}

// legal is what a gateway refuses (SPEC 7.4).
func legal(op wire.Operation) error {
	switch op.Number {
	case wire.OpSetResponseStatus:
		if op.Status < 200 || op.Status > 999 {
			return fmt.Errorf("status %d is outside 200 to 999", op.Status)
		}
	case wire.OpSetResponseFullBody:
	default:
		if !isToken(op.Name) {
			return fmt.Errorf("header name %q is not allowed", op.Name)
		}
		if strings.ContainsAny(op.Value, "\r\n\x00") {
			return fmt.Errorf("the value of header %s has CR, LF or NUL", op.Name)
		}
	}
	return nil
}

// answers says whether a plugin service has answered, whatever it says at its end.
func answers(ops []wire.Operation) bool {
	return slices.ContainsFunc(ops, func(op wire.Operation) bool {
		return op.Number == wire.OpSetResponseStatus || op.Number == wire.OpSetResponseFullBody
	})
}

// change applies one header operation.
func change(headers []wire.Header, op wire.Operation) []wire.Header {
	name := strings.ToLower(op.Name)
	if isFraming(name) {
		return headers // the gateway frames messages itself
	}
	spelling := func(name string) string { return name }
	if op.Number == wire.OpSetRequestHeader || op.Number == wire.OpRemoveRequestHeader {
		spelling = func(name string) string { return strings.ReplaceAll(name, "_", "-") } // to many upstreams it is one (SPEC 13.3)
	}
	var kept []wire.Header
	add := op.Number == wire.OpAddResponseHeader || op.Number == wire.OpAddRequestHeader
	for _, header := range headers {
		if add || spelling(header.Name) != spelling(name) {
			kept = append(kept, header)
		}
	}
	if op.Number == wire.OpRemoveResponseHeader || op.Number == wire.OpRemoveRequestHeader {
		return kept
	}
	return append(kept, wire.Header{Name: name, Value: op.Value})
}

func isToken(name string) bool {
	for _, b := range []byte(name) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return name != ""
}

func isFraming(name string) bool {
	switch name {
	case "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	default:
		return false
	}
}
