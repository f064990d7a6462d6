package ffi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// waitingLimit is how many bytes of messages may wait for their callbacks. The ABI cannot slow a client down, so that one who
// sends faster for long is closed.
const waitingLimit = 16 << 20

// socketEvent is news of a WebSocket.
type socketEvent struct {
	method  uint32
	payload []byte
}

// socket is a session's WebSocket. One goroutine runs its callbacks, in the order in which the news came.
type socket struct {
	session *live
	events  session.SocketEvents
	opened  chan struct{} // closed with the host's verdict
	done    chan struct{} // closed behind the last callback

	mu      sync.Mutex
	queue   []socketEvent
	waiting int
	working bool
	open    bool
	closed  bool // nothing comes any more
	ended   bool // nothing goes out any more
}

// Upgrade asks the host and waits until it has answered the client.
func (s *live) Upgrade(r *session.Run, events session.SocketEvents) error {
	own := r.Own.(*run)
	c := &socket{session: s, events: events, opened: make(chan struct{}), done: make(chan struct{})}
	s.sending.Lock()
	if own.over || s.closed.Load() {
		s.sending.Unlock()
		return session.ErrClosed
	}
	own.over = true
	s.entry.pace[r.Phase].waits()
	s.mu.Lock()
	s.socket = c
	s.mu.Unlock()
	own.ops = slices.DeleteFunc(own.ops, func(op wire.Operation) bool { return !isResponseHeader(op.Number) })
	s.sendOps(own, socketUpgrade) // behind headers of the 101
	s.sending.Unlock()
	<-c.opened // also when the session is over
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return fmt.Errorf("upgrading to a WebSocket: %w", session.ErrClosed)
	}
	return nil
}

func (s *live) socketEvent(method uint32, payload []byte) {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	if socket != nil {
		socket.push(socketEvent{method, payload})
	}
}

// push queues news. The first decides over the upgrade; after the close nothing counts.
func (c *socket) push(event socketEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = event.method == socketClosed
	c.waiting += len(event.payload)
	if c.waiting > waitingLimit && !c.closed {
		c.closed = true
		c.queue = append(c.queue, socketEvent{method: socketFailed, payload: []byte("messages come faster than they are handled")})
		event = socketEvent{method: socketClosed}
		go func() { _ = c.Close() }() // a session that is over is closed
	}
	select {
	case <-c.opened:
	default:
		c.open = event.method != socketClosed
		close(c.opened)
		if !c.open {
			close(c.done)
			return // it never was one
		}
	}
	c.queue = append(c.queue, event)
	if !c.working {
		c.working = true
		go c.work()
	}
}

func (c *socket) work() {
	clean := false
	defer func() {
		if !clean { // runtime.Goexit in a callback ends this goroutine, not the connection
			go c.work()
		}
	}()
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.working = false
			c.mu.Unlock()
			clean = true
			return
		}
		event := c.queue[0]
		c.queue = c.queue[1:]
		c.waiting -= len(event.payload)
		c.ended = c.ended || event.method == socketClosed
		ended := c.ended
		c.mu.Unlock()
		switch event.method {
		case socketOpened:
			c.events.Open(c)
		case socketGotText, socketGotBinary:
			if !ended { // nobody can answer what came after Close
				c.events.Message(c, event.method == socketGotBinary, event.payload)
			}
		case socketFailed:
			c.events.Failed(c, string(event.payload))
		case socketClosed:
			func() {
				defer close(c.done)
				c.events.Closed(c)
			}()
		}
	}
}

// Send sends a message.
func (c *socket) Send(binary bool, data []byte) error {
	if err := c.writable(); err != nil {
		return err
	}
	if binary {
		return c.session.send(socketBinary, bytes.Clone(data))
	}
	return c.session.send(socketText, data)
}

// Close asks the host to close; OnClose follows. Again it does nothing.
func (c *socket) Close() error {
	c.mu.Lock()
	again := c.ended
	c.ended = true
	c.mu.Unlock()
	if again {
		return nil
	}
	return c.session.send(socketClose, nil)
}

// Fail closes it: the ABI has no code that says more.
func (c *socket) Fail() error { return c.Close() }

func (c *socket) writable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return session.ErrClosed
	}
	return nil
}

// Join makes the connection a member of a room.
func (c *socket) Join(room string) error {
	if err := errors.Join(named(room), c.writable()); err != nil {
		return err
	}
	return c.session.send(socketJoin, []byte(room))
}

// Leave ends the membership. A connection that is closed has left by itself.
func (c *socket) Leave(room string) error {
	if err := named(room); err != nil {
		return err
	}
	if err := c.session.send(socketLeave, []byte(room)); !errors.Is(err, session.ErrClosed) {
		return err
	}
	return nil
}

// Broadcast sends to every member of a room. The last callback may do it, too.
func (c *socket) Broadcast(room string, binary bool, data []byte) error {
	if err := named(room); err != nil {
		return err
	}
	message := make([]byte, 0, len(room)+1+len(data))
	message = append(append(append(message, room...), 0), data...)
	if binary {
		return c.session.send(roomBinary, message)
	}
	return c.session.send(roomText, message)
}

// named refuses what the host would ignore.
func named(room string) error {
	if room == "" || strings.IndexByte(room, 0) >= 0 {
		return fmt.Errorf("a room has the name %q: it must not be empty or contain a NUL", room)
	}
	return nil
}
