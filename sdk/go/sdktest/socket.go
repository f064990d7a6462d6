package sdktest

import (
	"fmt"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// socket is a WebSocket as its handler sees it. One goroutine runs its callbacks, in the order in which the news came.
type socket struct {
	session  *memory
	phase    *phase
	events   session.SocketEvents
	head     []wire.Operation // headers of the 101
	protocol string
	most     int
	came     chan struct{} // there is something for the client

	mu      sync.Mutex
	queue   []event
	working bool
	inbox   []Message // for the client
	shut    bool      // the handler has closed it
	closed  bool      // nothing goes either way any more, but callbacks that are to run
	done    bool      // the last callback has returned
	code    uint16
	reason  string
}

// event is a callback that is to run.
type event struct {
	run     func()
	message bool
	last    bool
}

var _ session.SocketPort = (*socket)(nil)

// Upgradable is what a gateway would say.
func (s *memory) Upgradable(run *session.Run) bool { return run.Request.Websocket }

// Upgrade opens a WebSocket for Dial.
func (s *memory) Upgrade(run *session.Run, options session.SocketOptions, events session.SocketEvents) error {
	p := run.Own.(*phase)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.dialled == nil:
		return fmt.Errorf("upgrading to a WebSocket: %w: Do has no client for one, Dial has", session.ErrUnsupported)
	case p.over:
		return fmt.Errorf("upgrading to a WebSocket: %w", session.ErrClosed)
	}
	c := &socket{session: s, phase: p, events: events, most: options.Longest(), came: make(chan struct{}, 1)}
	c.head, _, c.protocol = options.Split(p.ops, run.Request.Headers)
	p.socket = c
	close(p.upgraded)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(event{run: func() { events.Open(c) }})
	s.dialled <- c
	return nil
}

// push queues a callback; the mutex is held.
func (s *socket) push(e event) {
	s.queue = append(s.queue, e)
	if !s.working {
		s.working = true
		go s.work()
	}
}

func (s *socket) work() {
	clean, last := false, false
	defer func() {
		switch {
		case last:
			_ = s.phase.end(wire.End, nil) // only this ends it
		case !clean: // runtime.Goexit in a callback ends this goroutine, not the connection
			go s.work()
		}
	}()
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.working, clean = false, true
			s.mu.Unlock()
			return
		}
		e := s.queue[0]
		s.queue = s.queue[1:]
		last = e.last
		unheard := e.message && s.shut // nobody can answer what came after Close
		s.mu.Unlock()
		if !unheard {
			e.run()
		}
		if last {
			s.mu.Lock()
			s.done = true
			s.mu.Unlock()
			return
		}
	}
}

// finish closes it, once; the mutex is held.
func (s *socket) finish(code uint16, reason, failure string) {
	if s.closed {
		return
	}
	s.closed, s.code, s.reason = true, code, reason
	s.session.plugin.leaveAll(s)
	if failure != "" {
		s.push(event{run: func() { s.events.Failed(s, failure) }})
	}
	s.push(event{run: func() { s.events.Closed(s) }, last: true})
	s.wake()
}

func (s *socket) wake() {
	select {
	case s.came <- struct{}{}:
	default:
	}
}

// next is what is there for the client.
func (s *socket) next() (message Message, came bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inbox) > 0 {
		message, s.inbox = s.inbox[0], s.inbox[1:]
		return message, true, nil
	}
	if s.closed {
		err = &CloseError{s.code, s.reason}
	}
	return message, false, err
}

// give puts a message into the client's hands; false if that has gone.
func (s *socket) give(binary bool, data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.inbox = append(s.inbox, Message{Binary: binary, Data: append([]byte{}, data...)})
	s.wake()
	return true
}

// Send sends a message at once: the client has room for any number.
func (s *socket) Send(binary bool, data []byte) error {
	if err := session.Sendable(binary, data); err != nil {
		return err
	}
	if !s.give(binary, data) {
		return session.ErrClosed
	}
	return nil
}

// Close closes it; the client answers at once.
func (s *socket) Close(code uint16, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	s.finish(code, reason, "")
	return nil
}

// Subprotocol is what was chosen.
func (s *socket) Subprotocol() string { return s.protocol }

// Closed is how it was closed.
func (s *socket) Closed() (code uint16, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code, s.reason
}
