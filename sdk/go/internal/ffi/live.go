package ffi

import (
	"context"
	"log/slog"
	"slices"
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

	// Held while a message goes out, so that none follows the end of its phase. Never taken by what the host calls: it may do so
	// before the callback has returned.
	sending sync.Mutex
	closed  atomic.Bool
	whole   atomic.Bool // the request's body has been read,
	taken   atomic.Bool // or was read piece by piece: the host has no more of it if it is long

	mu       sync.Mutex
	ctx      context.Context // once somebody wants it
	cancel   context.CancelCauseFunc
	over     bool        // and cancelled from the start
	waiting  []*question // in order
	begun    []begun     // phases that are to be run
	room     [1]begun
	working  bool
	streamed bool // the head of an answer is out
	socket   *socket
}

// begun is a phase that the host has begun.
type begun struct {
	phase wire.Phase
	at    time.Time
}

func newLive(library *Library, entry *entry, sid uint32, out Send) *live {
	return &live{library: library, entry: entry, sid: sid, out: out}
}

// question is what was asked, until its answer is taken. Guarded by the session's mu.
type question struct {
	method   uint32
	is       bool // answered
	answer   []byte
	answered chan struct{} // of who has to wait
}

var _ session.Port = (*live)(nil)

func (s *live) Number() int32        { return int32(s.sid) }
func (s *live) UID() string          { return "ffi-" + strconv.FormatUint(uint64(s.sid), 10) }
func (s *live) Logger() *slog.Logger { return s.library.Logger }

// Context is made when it is first wanted: most handlers are over before anybody does.
func (s *live) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
		if s.over {
			s.cancel(session.ErrClosed)
		}
	}
	return s.ctx
}

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

// ask sends a question and waits for its answer, as long as the context says that gives; nil is the session's own. The host
// answers those of one method in order, so that each gets its own.
func (s *live) ask(within func() context.Context, phase wire.Phase, method uint32) ([]byte, error) {
	q := &question{method: method}
	s.sending.Lock()
	if s.closed.Load() {
		s.sending.Unlock()
		return nil, session.ErrClosed
	}
	s.mu.Lock()
	s.waiting = append(s.waiting, q)
	s.mu.Unlock()
	s.out(s.sid, method, nil)
	s.sending.Unlock()
	s.mu.Lock()
	if q.is { // most came before the host returned
		s.mu.Unlock()
		return q.answer, nil
	}
	q.answered = make(chan struct{})
	s.mu.Unlock()
	s.entry.pace[phase].waits()
	own := s.Context()
	ctx := own
	if within != nil {
		ctx = within()
	}
	select {
	case <-q.answered:
		return q.answer, nil
	case <-own.Done():
		return nil, context.Cause(own)
	case <-ctx.Done(): // the answer still takes its place in the order
		return nil, context.Cause(ctx)
	}
}

// answer wakes who asked first.
func (s *live) answer(method uint32, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.waiting {
		if q.method == method {
			s.waiting = slices.Delete(s.waiting, i, i+1)
			q.is, q.answer = true, payload
			if q.answered != nil {
				close(q.answered)
			}
			return
		}
	}
	s.library.Logger.Debug("nylon plugin: an answer that nobody waits for", "session", s.UID(), "method", method)
}

// begin runs a phase behind those that have begun: callbacks of a session never overlap.
func (s *live) begin(phase wire.Phase) {
	if s.queue(phase) && !s.pass() {
		crew.do(s)
	}
}

// pass ends the phases that no callback waits for, within the call that begins them: a host that cannot know begins them all, and a
// goroutine for each would cost more than most callbacks. Whether there are no others.
func (s *live) pass() bool {
	for {
		s.mu.Lock()
		if len(s.begun) == 0 {
			s.working = false
			s.mu.Unlock()
			return true
		}
		if s.handler.Mask()&s.begun[0].phase.Bit() != 0 {
			s.mu.Unlock()
			return false
		}
		s.begun = s.begun[1:]
		s.mu.Unlock()
		_ = s.send(next, nil) // a session that is over needs no answer
	}
}

// beginHere is begin; if the callback is a quick one, it has returned.
func (s *live) beginHere(thread uint32, phase wire.Phase) bool {
	pace := &s.entry.pace[phase]
	if !pace.here() || s.talks() {
		s.begin(phase)
		return false
	}
	if !s.queue(phase) {
		return false
	}
	began := time.Now()
	if !runAside(thread, s.work) {
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
	if s.begun == nil {
		s.begun = s.room[:0]
	}
	s.begun = append(s.begun, begun{phase, time.Now()})
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
			crew.do(s)
		}
	}()
	for !s.pass() {
		s.mu.Lock()
		if len(s.begun) == 0 { // the session has ended
			s.mu.Unlock()
			continue
		}
		run := newRun(s.begun[0])
		s.begun = s.begun[1:]
		s.mu.Unlock()
		s.afterTalk()
		s.handler.Run(run)
		s.awaitEnd(run)
		s.entry.pace[run.Phase].seen.Store(true)
	}
	clean = true
}

// goodbye is how long the end of a session waits for the last callback of its WebSocket, so that what that says still counts.
const goodbye = 100 * time.Millisecond

// close ends the session.
func (s *live) close() {
	s.mu.Lock()
	socket := s.socket
	s.begun = nil
	s.mu.Unlock()
	if socket != nil {
		if !socket.over() { // nobody has closed it: the session is lost
			s.end()
			socket.push(socketEvent{method: socketClosed})
		}
		select {
		case <-socket.done:
		case <-time.After(goodbye):
		}
	}
	s.end()
	s.closed.Store(true)
}

// end cancels the session's context; one that is asked for later is cancelled already.
func (s *live) end() {
	s.mu.Lock()
	cancel := s.cancel
	s.over = true
	s.mu.Unlock()
	if cancel != nil {
		cancel(session.ErrClosed)
	}
}

// talks says whether callbacks of a WebSocket still run.
func (s *live) talks() bool {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	if socket == nil {
		return false
	}
	select {
	case <-socket.done:
		return false
	default:
		return true
	}
}

// afterTalk waits for the last callback of the WebSocket: the host begins the next phase when it has told of the close, and
// callbacks of a session never overlap.
func (s *live) afterTalk() {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	if socket != nil {
		<-socket.done
	}
}
