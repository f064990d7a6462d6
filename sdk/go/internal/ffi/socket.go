package ffi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
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
	session  *live
	events   session.SocketEvents
	protocol string        // the sub-protocol that was chosen
	opened   chan struct{} // closed with the host's verdict
	done     chan struct{} // closed behind the last callback

	mu      sync.Mutex
	queue   []socketEvent
	waiting int
	working bool
	open    bool
	closed  bool // nothing comes any more
	ended   bool // nothing goes out any more
	failed  bool // its failure is told
	refusal error
	code    uint16
	reason  string
}

// Upgradable looks at the handshake where the host does not say what it thinks of it, but answers the client.
func (s *live) Upgradable(r *session.Run) bool {
	if s.library.offers(upgradeWith) {
		return true
	}
	s.Load(r, session.PartUpgrade)
	return r.Request.Websocket
}

// Upgrade asks the host and waits until it has answered the client.
func (s *live) Upgrade(r *session.Run, options session.SocketOptions, events session.SocketEvents) error {
	own := r.Own.(*run)
	c := &socket{session: s, events: events, opened: make(chan struct{}), done: make(chan struct{})}
	if len(options.Subprotocols) > 0 {
		s.Load(r, session.PartHeaders)
	}
	with := s.library.offers(upgradeWith)
	if options.MaxMessageBytes > 0 && !with {
		return fmt.Errorf("upgrading to a WebSocket with a limit for messages: %w: the gateway that has loaded this plugin does not offer it", session.ErrUnsupported)
	}
	s.sending.Lock()
	if own.over || s.closed.Load() {
		s.sending.Unlock()
		return session.ErrClosed
	}
	own.over = true
	s.mu.Lock()
	s.socket = c
	s.mu.Unlock()
	head, rest, protocol := options.Split(own.ops, r.Request.Headers)
	own.ops, c.protocol = head, protocol
	method, wish := uint32(socketUpgrade), []byte(nil)
	switch {
	case with:
		method = upgradeWith
		wish = append(binary.BigEndian.AppendUint32(nil, uint32(options.MaxMessageBytes)), protocol...)
	case protocol != "": // such a host takes it as a header alone
		chosen := wire.Operation{Number: wire.OpSetResponseHeader, Name: "sec-websocket-protocol", Value: protocol}
		own.ops = append(own.ops, chosen)
	}
	s.sendOps(own, method, wish) // behind headers of the 101
	own.ops = rest
	s.sending.Unlock()
	select {
	case <-c.opened:
	default:
		s.entry.pace[r.Phase].waits()
		<-c.opened // also when the session is over
	}
	c.mu.Lock()
	open, refusal := c.open, c.refusal
	c.mu.Unlock()
	if refusal != nil {
		s.mu.Lock()
		s.socket = nil
		s.mu.Unlock()
		s.sending.Lock()
		own.over = false
		s.sending.Unlock()
		return fmt.Errorf("upgrading to a WebSocket: %w", refusal)
	}
	if !open {
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
	if c.closed || event.method == socketFailed && c.failed {
		return
	}
	if event.method == upgradeWith {
		c.refusal = fmt.Errorf("%w: %s", session.ErrNotWebSocket, event.payload)
		event = socketEvent{method: socketClosed} // it never was one
	}
	c.failed = c.failed || event.method == socketFailed
	c.closed = event.method == socketClosed
	c.waiting += len(event.payload)
	if c.waiting > waitingLimit && !c.closed {
		c.closed = true
		if !c.failed {
			c.failed = true
			c.queue = append(c.queue, socketEvent{method: socketFailed, payload: []byte("messages come faster than they are handled")})
		}
		event = socketEvent{method: socketClosed}
		go func() { _ = c.Close(session.CloseFailed, "messages come too fast") }() // a session that is over is closed
	}
	if c.closed {
		c.status(event.payload)
	}
	select {
	case <-c.opened:
	default:
		if event.method == socketFailed {
			return // it never was one, and the close that follows says so
		}
		c.open = event.method != socketClosed
		close(c.opened)
		if !c.open {
			close(c.done)
			return
		}
	}
	c.queue = append(c.queue, event)
	if !c.working {
		c.working = true
		go c.work()
	}
}

// status notes how it was closed: a host that knows codes says so, any other only whether it failed. The mutex is held.
func (c *socket) status(payload []byte) {
	switch {
	case len(payload) >= 2:
		c.code, c.reason = binary.BigEndian.Uint16(payload), string(payload[2:])
	case c.failed || c.session.closed.Load():
		c.code = session.CloseNoFrame
	default:
		c.code = session.CloseNoCode
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
	if err := errors.Join(session.Sendable(binary, data), c.writable()); err != nil {
		return err
	}
	if binary {
		return c.session.send(socketBinary, bytes.Clone(data))
	}
	return c.session.send(socketText, data)
}

// Close asks the host to close; OnClose follows. Again it does nothing. The ABI has neither code nor reason.
func (c *socket) Close(code uint16, reason string) error {
	c.mu.Lock()
	again := c.ended
	c.ended = true
	c.mu.Unlock()
	if again {
		return nil
	}
	if c.session.library.offers(closeWith) {
		return c.session.send(closeWith, append(binary.BigEndian.AppendUint16(nil, code), reason...))
	}
	return c.session.send(socketClose, nil)
}

// over says whether the host has said that it is closed.
func (c *socket) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Subprotocol is what the upgrade has named.
func (c *socket) Subprotocol() string { return c.protocol }

// Closed is how it was closed.
func (c *socket) Closed() (code uint16, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code, c.reason
}

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
	if err := errors.Join(session.RoomName(room), c.writable()); err != nil {
		return err
	}
	return c.session.send(socketJoin, []byte(room))
}

// Leave ends the membership. A connection that is closed has left by itself.
func (c *socket) Leave(room string) error {
	if err := session.RoomName(room); err != nil {
		return err
	}
	if err := c.session.send(socketLeave, []byte(room)); !errors.Is(err, session.ErrClosed) {
		return err
	}
	return nil
}

// Broadcast sends to every member of a room. The last callback may do it, too.
func (c *socket) Broadcast(room string, binary bool, data []byte) error {
	if err := errors.Join(session.RoomName(room), session.Sendable(binary, data)); err != nil {
		return err
	}
	message := make([]byte, 0, len(room)+1+len(data))
	message = append(append(append(message, room...), 0), data...)
	if binary {
		return c.session.send(roomBinary, message)
	}
	return c.session.send(roomText, message)
}
