package ffi

import (
	"context"
	"encoding/json"
	"errors"
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
	took  atomic.Bool // BodyReader has asked for the request's body

	// Guarded by the session's sending.
	ops    []wire.Operation
	over   bool
	stream *stream
}

func newRun(phase wire.Phase) *session.Run {
	r := &session.Run{Phase: phase, Request: &wire.Snapshot{}, Received: time.Now(), Own: &run{}}
	if phase != wire.RequestFilter {
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
	if action == wire.Next && own.took.Load() && s.library.offers(failPhase) { // as over NATS, where it is nobody else's now
		return s.sendFailure(session.Failure{Code: wire.FailProtocol, Text: "next behind a BodyReader, which takes the body"})
	}
	s.sendOps(own)
	if action == wire.End {
		return s.sendLocked(end, nil)
	}
	return s.sendLocked(next, nil)
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
		s.sendOps(own)
		return s.sendLocked(end, nil)
	case wire.ResponseBodyFilter:
		own.ops = []wire.Operation{{Number: wire.OpSetResponseFullBody, Bytes: body}}
		s.sendOps(own)
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
	body, err := s.ask(ctx, method)
	if err == nil && what == wire.FetchRequestBody {
		s.whole.Store(true)
	}
	if err == nil && limit > 0 && len(body) > limit {
		return nil, session.ErrBodyTooLarge
	}
	return body, err
}

// ReadStream reads from the whole body: the ABI has no other.
func (s *live) ReadStream(r *session.Run, what wire.FetchKind) session.BodyPort {
	return &reading{fetch: func() ([]byte, error) {
		if what == wire.FetchResponseStream {
			return s.Fetch(s.ctx, r, wire.FetchResponseBody, 0)
		}
		if !s.whole.Load() {
			r.Own.(*run).took.Store(true)
		}
		return s.Fetch(s.ctx, r, wire.FetchRequestBody, 0)
	}}
}

// reading is a body that is asked for by the first Read.
type reading struct {
	mu     sync.Mutex
	fetch  func() ([]byte, error)
	asked  bool
	rest   []byte
	err    error
	closed bool
}

// Read gives what is left.
func (b *reading) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	if !b.asked {
		b.asked = true
		b.rest, b.err = b.fetch()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case len(b.rest) == 0 && len(p) > 0:
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close ends reading.
func (b *reading) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.rest = true, nil
	return nil
}

var errCut = errors.New("the stream was cut")
