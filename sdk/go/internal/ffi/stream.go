package ffi

import (
	"bytes"
	"runtime"
	"weak"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// stream is an answer that is sent piece by piece, or a filtered body that is gathered, for which the ABI has no pieces.
type stream struct {
	session *live
	own     *run
	gathers bool
	body    []byte // guarded by the session's sending
	over    bool
	err     error // why it is over, nil after End
}

// OpenStream sends the head, in the original SDK's order. In a body filter there is none to send.
func (s *live) OpenStream(r *session.Run) (session.StreamPort, error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	own := r.Own.(*run)
	if own.over || s.closed.Load() {
		return nil, session.ErrClosed
	}
	own.stream = &stream{session: s, own: own, gathers: r.Phase == wire.ResponseBodyFilter}
	if own.stream.gathers {
		return newWriter(own.stream), nil
	}
	s.entry.pace[r.Phase].waits()
	s.mu.Lock()
	s.streamed = true
	s.mu.Unlock()
	kept := own.ops[:0]
	for _, op := range own.ops {
		if op.Number != wire.OpSetResponseFullBody { // it would follow the stream
			kept = append(kept, op)
		}
	}
	own.ops = append(kept,
		wire.Operation{Number: wire.OpSetResponseHeader, Name: "Transfer-Encoding", Value: "chunked"},
		wire.Operation{Number: wire.OpRemoveResponseHeader, Name: "Content-Length"})
	s.sendOps(own, streamHeader)
	return newWriter(own.stream), nil
}

// breakStream tells the host that the answer is not whole; sending is held. One that knows the original ABI only ends it with
// an error's text: there is no message that cuts it.
func (s *live) breakStream(own *run, failure session.Failure) error {
	own.stream.over, own.stream.err = true, errCut
	s.mu.Lock()
	s.streamed = false // the host may run the later phases on its error
	s.mu.Unlock()
	return s.sendFailure(failure)
}

// notEnded is how a stream fails that its handler has left.
var notEnded = session.Failure{Code: wire.FailHandler, Text: "the stream was not ended"}

func (w *stream) write(p []byte) (int, error) {
	s := w.session
	s.sending.Lock()
	defer s.sending.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case w.over, s.closed.Load():
		return 0, session.ErrClosed
	case w.gathers:
		w.body = append(w.body, p...)
		return len(p), nil
	case len(p) == 0:
		return 0, nil
	}
	if err := s.sendLocked(streamData, bytes.Clone(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *stream) end() error {
	s := w.session
	s.sending.Lock()
	defer s.sending.Unlock()
	if w.over {
		return w.err
	}
	w.over, w.own.over = true, true
	if s.closed.Load() {
		return session.ErrClosed
	}
	if w.gathers {
		s.out(s.sid, wire.OpSetResponseFullBody, w.body)
		return s.sendLocked(next, nil)
	}
	return s.sendLocked(streamEnd, nil)
}

func (w *stream) cut() {
	s := w.session
	s.sending.Lock()
	defer s.sending.Unlock()
	if !w.over && !w.own.over && !s.closed.Load() {
		w.own.over = true
		_ = s.breakStream(w.own, notEnded) // a session that is over needs no cut
	}
}

// writer is the handler's end of a stream. One that nothing refers to any more is cut.
type writer struct{ stream *stream }

func newWriter(s *stream) *writer {
	held := &writer{s}
	runtime.AddCleanup(held, func(left weak.Pointer[stream]) {
		if s := left.Value(); s != nil {
			go s.cut() // it may wait for the host, which a cleanup must not
		}
	}, weak.Make(s))
	return held
}

// Write sends a piece.
func (h *writer) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(h)
	return h.stream.write(p)
}

// End ends it and its phase.
func (h *writer) End() error {
	defer runtime.KeepAlive(h)
	return h.stream.end()
}

// Cut ends it as not whole.
func (h *writer) Cut() { h.stream.cut() }
