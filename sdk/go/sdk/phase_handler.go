package sdk

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// PhaseHandler is one request as one entry sees it. The function given to AddPhaseHandler gets a new one for each and
// registers callbacks with it, before it returns; nothing is read or written before that. It may be kept; SessionUID, Context and Go
// may be called from any goroutine.
type PhaseHandler struct {
	// SessionId counts the sessions of this process, from 1; in a library it is the gateway's number. SessionUID names the session
	// everywhere.
	SessionId int32

	port               sessionPort
	current            atomic.Pointer[phaseRun] // the phase that runs, or ran last
	requestFilter      func(*PhaseRequestFilter)
	responseFilter     func(*PhaseResponseFilter)
	responseBodyFilter func(*PhaseResponseBodyFilter)
	responseBodyStream func(*PhaseResponseBodyFilter, io.Reader, io.Writer) error
	logging            func(*PhaseLogging)
}

// RequestFilter registers what runs before the service is asked; nil registers nothing, the last call counts. A phase that nobody
// registers costs no message (SPEC 9.3).
func (p *PhaseHandler) RequestFilter(phaseRequestFilter func(requestFilter *PhaseRequestFilter)) {
	p.requestFilter = phaseRequestFilter
}

// ResponseFilter registers what runs before the response head goes out, on errors of the gateway, too (SPEC 20.1); nil registers
// nothing, the last call counts.
func (p *PhaseHandler) ResponseFilter(phaseResponseFilter func(responseFilter *PhaseResponseFilter)) {
	p.responseFilter = phaseResponseFilter
}

// ResponseBodyFilter registers what runs once with the whole response body, while the head is held back; nil registers nothing, the
// last call counts. It does not run on streams of plugins; a body beyond the gateway's `max_body_bytes` (10 MiB) fails it.
func (p *PhaseHandler) ResponseBodyFilter(phaseResponseBodyFilter func(responseBodyFilter *PhaseResponseBodyFilter)) {
	p.responseBodyFilter, p.responseBodyStream = phaseResponseBodyFilter, nil
}

// ResponseBodyStream registers what runs on the response body piece by piece, instead of ResponseBodyFilter (SPEC 14.8): it reads r
// to io.EOF and writes to w what the client gets, of any length and at the client's pace. Under a gateway that knows only the
// original ABI it gets, and gives, the whole body at once. Returning ends it: nil completes the body,
// an error or a panic cuts it, or refuses the response if nothing was read or written. The context can only be read; its Next
// does nothing. Nil registers nothing, the last call of the two counts.
func (p *PhaseHandler) ResponseBodyStream(filter func(ctx *PhaseResponseBodyFilter, r io.Reader, w io.Writer) error) {
	p.responseBodyFilter, p.responseBodyStream = nil, filter
}

// Logging registers what runs after the last byte, whatever came of the request (SPEC 20.1); nobody waits for it. Nil registers
// nothing, the last call counts.
func (p *PhaseHandler) Logging(phaseLogging func(logging *PhaseLogging)) {
	p.logging = phaseLogging
}

// SessionUID names the session in the logs of gateway and worker: 32 hex digits, or "ffi-" and SessionId in a library.
func (p *PhaseHandler) SessionUID() string { return p.port.UID() }

// Context is cancelled when the session is over: deadline, client gone, worker shutting down, gateway gone, or simply done, behind
// the last registered phase; between two phases it lives. context.Cause says which: ErrPhaseTimeout, ErrClientGone,
// ErrShuttingDown, or ErrSessionClosed for the last two and always in a library. Each call gives the same one.
func (p *PhaseHandler) Context() context.Context { return p.port.Context() }

// Go runs fn in a goroutine whose panics are caught: one is logged, the worker lives on, and the phase that has called Go fails
// unless it is over. Nobody waits for fn: it may outlive the phase, and Context says when to stop.
func (p *PhaseHandler) Go(fn func()) {
	run := p.current.Load()
	go guard(p.port.Logger(), "a goroutine of a handler", fn, func(failure session.Failure) {
		if run != nil { // nil: the registration function has called Go
			run.fail(failure)
		}
	})
}

// openSession runs a registration function for a new session.
func openSession(register func(*PhaseHandler), port sessionPort) (session.Handler, *session.Failure) {
	handler := &PhaseHandler{SessionId: port.Number(), port: port}
	if failure := guarded(port.Logger(), "the registration function", func() { register(handler) }); failure != nil {
		return nil, failure
	}
	return phases{handler}, nil
}

// phases is a PhaseHandler as the transport sees it.
type phases struct{ *PhaseHandler }

// Mask is the registered phases.
func (p phases) Mask() uint32 {
	var mask uint32
	if p.requestFilter != nil {
		mask |= wire.RequestFilter.Bit()
	}
	if p.responseFilter != nil {
		mask |= wire.ResponseFilter.Bit()
	}
	if p.responseBodyFilter != nil || p.responseBodyStream != nil {
		mask |= wire.ResponseBodyFilter.Bit()
	}
	if p.logging != nil {
		mask |= wire.Logging.Bit()
	}
	return mask
}

// Streams says whether the body filter works piece by piece.
func (p phases) Streams() bool { return p.responseBodyStream != nil }

// Run runs a phase's callback; a panic fails the phase.
func (p phases) Run(r *session.Run) {
	run := &phaseRun{port: p.port, run: r}
	p.current.Store(run)
	var what string
	var callback func()
	switch r.Phase {
	case wire.RequestFilter:
		what, callback = "RequestFilter", func() { p.requestFilter(&PhaseRequestFilter{run}) }
	case wire.ResponseFilter:
		what, callback = "ResponseFilter", func() { p.responseFilter(&PhaseResponseFilter{run}) }
	case wire.ResponseBodyFilter:
		if p.responseBodyStream != nil {
			run.piecewise = true
			what, callback = "ResponseBodyStream", func() { p.filterBody(run) }
			break
		}
		what, callback = "ResponseBodyFilter", func() { p.responseBodyFilter(&PhaseResponseBodyFilter{run}) }
	case wire.Logging:
		what, callback = "Logging", func() { p.logging(&PhaseLogging{run}) }
	}
	guard(p.port.Logger(), what, callback, run.fail)
}

func (p phases) filterBody(run *phaseRun) {
	err := run.filterStream(func(r io.Reader, w io.Writer) error {
		return p.responseBodyStream(&PhaseResponseBodyFilter{run}, r, w)
	})
	if err == nil {
		return
	}
	failure := session.Failure{Code: wire.FailHandler, Text: "ResponseBodyStream: " + err.Error(), LogID: logID()}
	if context.Cause(p.port.Context()) == nil { // else that is why, and nobody is to blame
		p.port.Logger().Error("nylon plugin: "+failure.Text, "session", p.port.UID(), "log_id", failure.LogID)
	}
	run.fail(failure)
}
