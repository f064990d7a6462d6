package ffi

import (
	"bytes"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// stream is an answer that is sent piece by piece, or a filtered body; that is gathered where the host has no
// pieces of it: the ABI has none.
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
	own.stream = &stream{session: s, own: own, gathers: r.Phase == wire.ResponseBodyFilter && !s.library.offers(readResponsePiece)}
	if own.stream.gathers {
		return newWriter(own.stream), nil
	}
	s.entry.pace[r.Phase].waits()
	if r.Phase == wire.ResponseBodyFilter { // its head is nobody's to change
		return newWriter(own.stream), s.sendLocked(streamHeader, nil)
	}
	s.mu.Lock()
	s.streamed = true
	s.mu.Unlock()
	kept := own.ops[:0]
	for _, op := range own.ops {
		if op.Number != wire.OpSetResponseFullBody { // it would follow the stream
			kept = append(kept, op)
		}
	}
	if !s.library.offers(failPhase) { // the original leaves framing to plugins; others log it as a plugin's mistake
		kept = append(kept,
			wire.Operation{Number: wire.OpSetResponseHeader, Name: "Transfer-Encoding", Value: "chunked"},
			wire.Operation{Number: wire.OpRemoveResponseHeader, Name: "Content-Length"})
	}
	own.ops = kept
	s.sendOps(own, streamHeader, nil)
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

// Write sends a piece.
func (w *stream) Write(p []byte) (int, error) {
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

// End ends it and its phase.
func (w *stream) End() error {
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

// Cut ends it as not whole.
func (w *stream) Cut() {
	s := w.session
	s.sending.Lock()
	defer s.sending.Unlock()
	if !w.over && !w.own.over && !s.closed.Load() {
		w.own.over = true
		_ = s.breakStream(w.own, notEnded) // a session that is over needs no cut
	}
}

func newWriter(s *stream) session.StreamPort { return session.Hold(s) }
