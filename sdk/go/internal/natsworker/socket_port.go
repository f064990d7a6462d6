package natsworker

import (
	"fmt"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

var _ session.SocketPort = (*socket)(nil)

// Send sends a message as credit allows, and waits for more.
func (s *socket) Send(binary bool, data []byte) error {
	if err := session.Sendable(binary, data); err != nil {
		return err
	}
	kind := wire.DataText
	if binary {
		kind = wire.DataBinary
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	for {
		sent, err := s.send(kind, data)
		if err != nil {
			return err
		}
		if sent < 0 {
			<-s.more
			continue
		}
		if data = data[sent:]; len(data) == 0 {
			return nil
		}
	}
}

// send sends one piece; -1 where credit does not cover any.
func (s *socket) send(kind wire.DataKind, data []byte) (int, error) {
	l := s.run.live
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s.shut || s.closed || l.over != nil:
		return 0, closedBy(l)
	case l.credit < wire.MessageMinCost:
		return -1, nil
	}
	piece := min(len(data), w.chunk(), int(min(l.credit, wire.MaxChunk)))
	l.credit -= cost(piece)
	w.emit(l.gateway, l.reply, &wire.Data{Head: l.head(), ID: s.id, Bytes: data[:piece], More: piece < len(data), Kind: kind})
	return piece, nil
}

// awayReason goes with CloseAway, as in the other SDK.
const awayReason = "the worker shuts down"

// Close closes the connection behind the messages that were sent; one that waits for credit is cut. Again it does nothing.
func (s *socket) Close(code uint16, reason string) error {
	w := s.run.live.w
	w.mu.Lock()
	defer w.mu.Unlock()
	s.close(code, reason)
	return nil
}

// Subprotocol is what UPGRADE has named.
func (s *socket) Subprotocol() string { return s.protocol }

// Closed is what WS_CLOSED has said.
func (s *socket) Closed() (code uint16, reason string) {
	w := s.run.live.w
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.code, s.reason
}

// close asks the gateway to close; the mutex is held.
func (s *socket) close(code uint16, reason string) {
	l := s.run.live
	if s.shut || s.closed || l.over != nil {
		return
	}
	s.shut = true
	wake(s.more)
	l.w.emit(l.gateway, l.reply, &wire.WsOp{Head: l.head(), Operation: wire.WsOperation{Number: wire.WsClose, Code: code, Reason: reason}})
}

// Join makes the connection a member of a room, and waits until it is one.
func (s *socket) Join(room string) error {
	return s.ask(room, wire.WsOperation{Number: wire.WsJoinRoom, Room: room})
}

// Leave ends the membership. A connection that is closed has left by itself.
func (s *socket) Leave(room string) error {
	if err := session.RoomName(room); err != nil {
		return err
	}
	l := s.run.live
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !s.done && l.over == nil {
		op := wire.WsOperation{Number: wire.WsLeaveRoom, Room: room}
		l.w.emit(l.gateway, l.reply, &wire.WsOp{CallID: l.newID(), Head: l.head(), Operation: op})
	}
	return nil
}

// Broadcast sends to every member of a room, and waits until the gateway has done so. The last callback may do it, too.
func (s *socket) Broadcast(room string, binary bool, data []byte) error {
	if err := session.Sendable(binary, data); err != nil {
		return err
	}
	number := uint32(wire.WsBroadcastText)
	if binary {
		number = wire.WsBroadcastBinary
	}
	return s.ask(room, wire.WsOperation{Number: number, Room: room, Message: data})
}

// ask sends an operation and waits for its answer.
func (s *socket) ask(room string, op wire.WsOperation) error {
	if err := session.RoomName(room); err != nil {
		return err
	}
	answer, err := s.call(op)
	if err != nil {
		return err
	}
	return <-answer
}

func (s *socket) call(op wire.WsOperation) (<-chan error, error) {
	l := s.run.live
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	most := w.chunk() - 1 // the kind stands before it (SPEC 14.12)
	switch {
	case s.done || l.over != nil || op.Number == wire.WsJoinRoom && (s.shut || s.closed):
		return nil, closedBy(l)
	case len(op.Message) > most:
		return nil, fmt.Errorf("%d bytes are too many for a room, %d may be", len(op.Message), most)
	}
	id, answer := l.newID(), make(chan error, 1)
	s.calls[id] = socketCall{answer, op.Number == wire.WsJoinRoom}
	w.emit(l.gateway, l.reply, &wire.WsOp{Head: l.head(), CallID: id, Operation: op})
	return answer, nil
}
