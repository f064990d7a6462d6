package ffi

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// live is an open session, and the port that its contexts use.
type live struct {
	library *Library
	entry   *entry
	sid     uint32
	out     Send
	handler session.Handler
	ctx     context.Context
	cancel  context.CancelCauseFunc

	// Held while a message goes out, so that none follows the end of its phase. Never taken by what the host calls: it may do so
	// before the callback has returned.
	sending sync.Mutex
	closed  atomic.Bool
	whole   atomic.Bool // the request's body has been read,
	taken   atomic.Bool // or was read piece by piece: the host has no more of it if it is long

	mu       sync.Mutex
	waiting  map[uint32][]chan []byte // by method, in the order of the questions
	runs     []*session.Run           // that are to come
	working  bool
	streamed bool // the head of an answer is out
	socket   *socket
}

func newLive(library *Library, entry *entry, sid uint32, out Send) *live {
	s := &live{library: library, entry: entry, sid: sid, out: out, waiting: map[uint32][]chan []byte{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

var _ session.Port = (*live)(nil)

func (s *live) Number() int32            { return int32(s.sid) }
func (s *live) UID() string              { return "ffi-" + strconv.FormatUint(uint64(s.sid), 10) }
func (s *live) Context() context.Context { return s.ctx }
func (s *live) Logger() *slog.Logger     { return s.library.Logger }

// send hands a message to the host.
func (s *live) send(method uint32, payload []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.sendLocked(method, payload)
}

func (s *live) sendLocked(method uint32, payload []byte) error {
	if s.closed.Load() {
		return session.ErrClosed
	}
	s.out(s.sid, method, payload)
	return nil
}

// ask sends a question and waits for its answer. The host answers those of one method in order, so that each gets its own.
func (s *live) ask(ctx context.Context, phase wire.Phase, method uint32) ([]byte, error) {
	answer := make(chan []byte, 1)
	s.sending.Lock()
	if s.closed.Load() {
		s.sending.Unlock()
		return nil, session.ErrClosed
	}
	s.mu.Lock()
	s.waiting[method] = append(s.waiting[method], answer)
	s.mu.Unlock()
	s.out(s.sid, method, nil)
	s.sending.Unlock()
	select {
	case bytes := <-answer: // most came before the host returned
		return bytes, nil
	default:
	}
	s.entry.pace[phase].waits()
	select {
	case bytes := <-answer:
		return bytes, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case <-ctx.Done(): // the answer still takes its place in the order
		return nil, context.Cause(ctx)
	}
}

// answer wakes who asked first.
func (s *live) answer(method uint32, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting[method]
	if len(waiting) == 0 {
		s.library.Logger.Debug("nylon plugin: an answer that nobody waits for", "session", s.UID(), "method", method)
		return
	}
	s.waiting[method] = waiting[1:]
	waiting[0] <- payload
}

// begin runs a phase behind those that have begun: callbacks of a session never overlap.
func (s *live) begin(phase wire.Phase) {
	if s.queue(phase) {
		go s.work()
	}
}

// beginHere is begin; if the callback is a quick one, it has returned.
func (s *live) beginHere(phase wire.Phase) bool {
	pace := &s.entry.pace[phase]
	if !pace.here() {
		s.begin(phase)
		return false
	}
	if !s.queue(phase) {
		return false
	}
	began := time.Now()
	if !aside(s.work) {
		pace.waits() // what ends its goroutine needs one of its own
		return false
	}
	pace.took(time.Since(began))
	return true
}

// queue puts a phase behind those that have begun. Whether there is nobody who works on them.
func (s *live) queue(phase wire.Phase) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streamed && (phase == wire.ResponseFilter || phase == wire.ResponseBodyFilter) {
		// The original host starts these within the phase that streams, without waiting, and takes their end for that one's.
		return false
	}
	s.runs = append(s.runs, newRun(phase))
	if s.working {
		return false
	}
	s.working = true
	return true
}

func (s *live) work() {
	clean := false
	defer func() {
		if !clean { // runtime.Goexit in a callback ends this goroutine, not the session
			go s.work()
		}
	}()
	for {
		s.mu.Lock()
		if len(s.runs) == 0 {
			s.working = false
			s.mu.Unlock()
			clean = true
			return
		}
		run := s.runs[0]
		s.runs = s.runs[1:]
		s.mu.Unlock()
		if s.handler.Mask()&run.Phase.Bit() == 0 {
			_ = s.Finish(run, wire.Next) // a session that is over needs no answer
			continue
		}
		s.handler.Run(run)
		s.entry.pace[run.Phase].seen.Store(true)
	}
}

// goodbye is how long the end of a session waits for the last callback of its WebSocket, so that what that says still counts.
const goodbye = 100 * time.Millisecond

// close ends the session.
func (s *live) close() {
	s.cancel(session.ErrClosed)
	s.mu.Lock()
	socket := s.socket
	s.runs = nil
	s.mu.Unlock()
	if socket != nil {
		socket.push(socketEvent{method: socketClosed}) // unless the host has said so
		select {
		case <-socket.done:
		case <-time.After(goodbye):
		}
	}
	s.closed.Store(true)
}
