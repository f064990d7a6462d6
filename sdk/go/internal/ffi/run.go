package ffi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// run is what the transport keeps of a run of a phase.
type run struct {
	parts sync.Mutex // held while a part is asked for
	known [session.PartError + 1]bool

	// Guarded by the session's sending.
	ops    []wire.Operation
	over   bool
	stream *stream
}

func newRun(begun begun) *session.Run {
	// One piece of memory for what lives as long.
	whole := &struct {
		session.Run
		request wire.Snapshot
		own     run
	}{}
	r := &whole.Run
	r.Phase, r.Request, r.Received, r.Own = begun.phase, &whole.request, begun.at, &whole.own
	if begun.phase != wire.RequestFilter {
		r.Response = &wire.Response{}
	}
	return r
}

// Apply gathers changes until the end of the phase: a phase that fails makes none.
func (s *live) Apply(r *session.Run, op wire.Operation) error {
	if err := s.supported(op.Number); err != nil {
		return err
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	own := r.Own.(*run)
	if own.over || s.closed.Load() {
		return session.ErrClosed
	}
	if op.Number == wire.OpAddResponseHeader && !s.library.offers(op.Number) && addedTwice(own.ops, op.Name) {
		return unsupported("a second header of one name")
	}
	if r.Phase != wire.Logging { // nothing can change any more
		own.ops = append(own.ops, op)
	}
	return nil
}

// Finish sends the changes and the end.
func (s *live) Finish(r *session.Run, action wire.Action) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	own := r.Own.(*run)
	if own.over || s.closed.Load() {
		return session.ErrClosed
	}
	if own.stream != nil { // a phase that ends otherwise has cut it
		own.over = true
		return s.breakStream(own, notEnded)
	}
	own.over = true
	if action == wire.End {
		s.sendOps(own, end, nil)
	} else {
		s.sendOps(own, next, nil)
	}
	return nil
}

// silentAfter is how long a phase may go on behind its callback until that is reported: a goroutine of the handler may end it.
const silentAfter = time.Second

// awaitEnd says in the log what a deadline does not: that the callback has forgotten to end its phase.
func (s *live) awaitEnd(r *session.Run) {
	if !s.unended(r) {
		return
	}
	time.AfterFunc(silentAfter, func() {
		if s.unended(r) {
			s.Logger().Warn("nylon plugin: a callback returned and nothing was called: Next or End has to end its phase",
				"entry", s.entry.name, "phase", r.Phase, "session", s.UID())
		}
	})
}

// unended says whether nothing has ended the phase, and nothing lasts that will.
func (s *live) unended(r *session.Run) bool {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	s.sending.Lock()
	defer s.sending.Unlock()
	own := r.Own.(*run)
	return !own.over && own.stream == nil && socket == nil && !s.closed.Load()
}

// Fail ends the phase as failed. The ABI has no message for it, so that a host that offers none gets an answer that says so in
// a request filter, and in place of a body that could not be filtered; it is told by a method that it does not know. Nothing
// may pass because a filter failed.
func (s *live) Fail(r *session.Run, failure session.Failure) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	own := r.Own.(*run)
	if own.over || s.closed.Load() {
		return session.ErrClosed
	}
	own.over = true
	if own.stream != nil && !own.stream.gathers {
		return s.breakStream(own, failure)
	}
	switch {
	case r.Phase == wire.Logging:
		return s.sendLocked(next, nil)
	case s.library.offers(failPhase):
		return s.sendFailure(failure)
	}
	body, err := json.Marshal(map[string]any{
		"status": 500, "error": "PLUGIN_ERROR", "message": "the plugin failed", "id": failure.LogID,
	})
	if err != nil {
		return err
	}
	switch r.Phase {
	case wire.RequestFilter:
		own.ops = []wire.Operation{
			{Number: wire.OpSetResponseStatus, Status: 500},
			{Number: wire.OpSetResponseHeader, Name: "Content-Type", Value: "application/json"},
			{Number: wire.OpSetResponseFullBody, Bytes: body},
		}
		s.sendOps(own, end, nil)
		return nil
	case wire.ResponseBodyFilter:
		own.ops = []wire.Operation{{Number: wire.OpSetResponseFullBody, Bytes: body}}
		s.sendOps(own, unknown, nil)
		return nil
	}
	return s.sendLocked(unknown, nil)
}

// sendFailure tells the host that the phase has failed; sending is held.
func (s *live) sendFailure(failure session.Failure) error {
	if !s.library.offers(failPhase) {
		return s.sendLocked(unknown, nil)
	}
	text := failure.Text
	if failure.LogID != "" {
		text += " (log id " + failure.LogID + ")"
	}
	return s.sendLocked(failPhase, encodeHeader(failure.Code, text))
}

// Fetch asks for a body as a whole.
func (s *live) Fetch(ctx context.Context, r *session.Run, what wire.FetchKind, limit int) ([]byte, error) {
	method := uint32(readRequestBody)
	if what == wire.FetchResponseBody {
		method = readResponseBody
		if r.Phase != wire.ResponseBodyFilter {
			return nil, session.ErrNoBody
		}
	} else if r.Phase == wire.Logging {
		return nil, session.ErrNoBody
	}
	body, err := s.read(func() context.Context { return ctx }, r, method)
	if err == nil && len(body) == 0 && what == wire.FetchRequestBody && s.taken.Load() { // a host cannot say it in another way
		return nil, fmt.Errorf("reading what BodyReader has taken: %w", session.ErrNoBody)
	}
	if err == nil && what == wire.FetchRequestBody {
		s.whole.Store(true)
	}
	if err == nil && limit > 0 && len(body) > limit {
		return nil, session.ErrBodyTooLarge
	}
	return body, err
}

// ReadStream reads a body piece by piece from a host that offers that, and from the whole of it elsewhere: the ABI has no other.
// So it is with a request's body that has been read before.
func (s *live) ReadStream(r *session.Run, what wire.FetchKind) session.BodyPort {
	asked := false
	return &reading{next: func() ([]byte, error) {
		kind := wire.FetchResponseBody
		switch {
		case what == wire.FetchResponseStream && s.library.offers(readResponsePiece):
			return s.piece(r, readResponsePiece)
		case what == wire.FetchRequestStream && s.library.offers(readRequestPiece) && !s.whole.Load():
			piece, err := s.piece(r, readRequestPiece)
			if len(piece) > 0 { // a long body is taken by it
				s.taken.Store(true)
			}
			return piece, err
		case what == wire.FetchRequestStream:
			kind = wire.FetchRequestBody
		}
		if asked {
			return nil, io.EOF
		}
		asked = true
		return s.Fetch(s.Context(), r, kind, 0)
	}}
}

// piece is the next one of a body.
func (s *live) piece(r *session.Run, method uint32) ([]byte, error) {
	piece, err := s.read(nil, r, method)
	if err == nil && len(piece) == 0 {
		err = io.EOF
	}
	return piece, err
}

// read asks for a body. That nothing came says nothing about it once the run is over: so the host lets go of who still waits.
func (s *live) read(within func() context.Context, r *session.Run, method uint32) ([]byte, error) {
	body, err := s.ask(within, r.Phase, method)
	if err == nil && len(body) == 0 && s.past(r) {
		return nil, fmt.Errorf("reading a body: %w", session.ErrClosed)
	}
	return body, err
}

// past says whether a run is over, or its session.
func (s *live) past(r *session.Run) bool {
	s.sending.Lock()
	ended := r.Own.(*run).over
	s.sending.Unlock()
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	return over || ended && !s.talks() // an upgrade ends nothing before its WebSocket
}

// reading is a body on its way here.
type reading struct {
	closed atomic.Bool
	mu     sync.Mutex             // held while a piece is waited for
	next   func() ([]byte, error) // a piece, or io.EOF behind the last
	rest   []byte
	err    error
}

// Read gives what is left of a piece, or waits for the next.
func (b *reading) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.rest) == 0 && b.err == nil && !b.closed.Load() {
		b.rest, b.err = b.next()
	}
	switch {
	case b.closed.Load():
		b.rest = nil
		return 0, io.ErrClosedPipe
	case len(b.rest) == 0:
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close ends reading. It does not wait for a Read that does.
func (b *reading) Close() error {
	b.closed.Store(true)
	return nil
}

var errCut = errors.New("the stream was cut")
