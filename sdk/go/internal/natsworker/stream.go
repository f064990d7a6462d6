package natsworker

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// stream is a body on its way to the gateway, piece by piece, within credit. What is written leaves at once: nothing is kept
// here, so that a slow client holds the writer and not the worker's memory.
type stream struct {
	run  *run
	id   uint32
	turn sync.Mutex    // one writer at a time, so that pieces do not mix
	more chan struct{} // there may be credit, or the end

	// Guarded by the worker's mutex.
	over bool
	err  error // what its end gives; nil if it is whole
}

var errCut = fmt.Errorf("writing to a stream: it was cut short: %w", session.ErrClosed)

// openStream sends STREAM: from now on the phase lasts until STREAM_END.
func (w *Worker) openStream(r *run) (*stream, error) {
	l := r.live
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case l.run != r || l.sending != nil:
		return nil, fmt.Errorf("streaming a body: %w", closedBy(l))
	case l.stream != nil:
		return nil, errors.New("streaming a body: it has begun before")
	case l.silent || r.Phase != wire.RequestFilter && r.Phase != wire.ResponseBodyFilter:
		return nil, fmt.Errorf("streaming a body: the phase is number %d, and has none to stream", r.Phase)
	}
	var ops []wire.Operation
	size := 0
	for _, op := range r.ops {
		if op.Number != wire.OpSetResponseFullBody { // the stream takes its place
			ops = append(ops, op)
			size += op.Size()
		}
	}
	if size > w.chunk() {
		return nil, fmt.Errorf("streaming a body: its head has %d bytes, which is too much", size)
	}
	s := &stream{run: r, id: l.newID(), more: make(chan struct{}, 1)}
	l.stream = s
	first := l.first()
	w.emit(l.gateway, l.reply, &wire.Stream{Head: l.head(), Ops: ops, StreamID: s.id, First: first})
	return s, nil
}

// Write sends p as credit allows, and waits for more.
func (s *stream) Write(p []byte) (int, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	for sent := 0; ; {
		piece, err := s.send(p[sent:])
		sent += piece
		if err != nil || sent == len(p) {
			return sent, err
		}
		if piece == 0 {
			<-s.more
		}
	}
}

// send sends one piece; 0 bytes where credit does not cover any.
func (s *stream) send(p []byte) (int, error) {
	l := s.run.live
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s.over && s.err == nil:
		return 0, fmt.Errorf("writing to a stream: it has ended: %w", session.ErrClosed)
	case s.over:
		return 0, s.err
	case len(p) == 0 || l.credit < wire.MessageMinCost:
		return 0, nil
	}
	piece := min(len(p), w.chunk(), int(min(l.credit, wire.MaxChunk)))
	l.credit -= cost(piece)
	w.emit(l.gateway, l.reply, &wire.Data{Head: l.head(), ID: s.id, Bytes: p[:piece], More: true, Kind: wire.DataStream})
	return piece, nil
}

// End closes the body behind what was written, and with it the phase.
func (s *stream) End() error {
	s.turn.Lock() // a write that still waits for credit goes before it
	defer s.turn.Unlock()
	w := s.run.live.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !s.over {
		w.endStream(s, wire.OutcomeOk)
	}
	return s.err
}

// Cut ends the body so that nobody takes it for a whole one; after its end it does nothing.
func (s *stream) Cut() {
	w := s.run.live.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !s.over {
		w.endStream(s, wire.OutcomeAbort)
	}
}

// endStream sends STREAM_END. The session goes on to its later phases; the mutex is held.
func (w *Worker) endStream(s *stream, outcome wire.Outcome) {
	l, now := s.run.live, time.Now()
	if outcome == wire.OutcomeAbort {
		s.err = errCut
		w.counts.Cuts++
		l.entry.errors++
	}
	s.close()
	l.stream = nil
	w.emit(l.gateway, l.reply, &wire.StreamEnd{Head: l.head(), Outcome: outcome})
	w.counts.Results++
	l.entry.requests++
	l.entry.handling += now.Sub(s.run.Received) - s.run.waited()
	w.afterPhase(l, s.run.Phase, false)
}

func (s *stream) close() {
	s.over = true
	wake(s.more)
}

// endStreamOf ends the stream of a session that is over; the mutex is held.
func (l *live) endStreamOf(cause error) {
	s := l.stream
	if s == nil {
		return
	}
	l.stream = nil
	s.err = cause
	s.close()
	// What its handler still does is as old as the stream's end, not as the stream.
	s.run.takenAt.Store(int64(time.Since(s.run.Received)))
}
