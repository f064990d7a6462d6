package natsworker

import (
	"fmt"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// call asks the gateway for bytes.
func (w *Worker) call(l *live, what wire.FetchKind, limit int, done func([]byte, error)) *call {
	c := &call{id: l.newID(), what: what, max: limit, done: done}
	l.calls = append(l.calls, c)
	first := l.first()
	w.emit(l.gateway, l.reply, &wire.Fetch{Head: l.head(), CallID: c.id, What: what, MaxBytes: uint64(limit), First: first})
	w.grant(l, c.id) // what an earlier phase left unread
	return c
}

func (l *live) callOf(id uint32) int {
	for i, c := range l.calls {
		if c.id == id {
			return i
		}
	}
	return -1
}

func (l *live) endCall(index int) *call {
	c := l.calls[index]
	l.calls = append(l.calls[:index], l.calls[index+1:]...)
	return c
}

func (w *Worker) onData(l *live, data *wire.Data) {
	if s := l.socket; s != nil && data.Kind == wire.DataBody && s.settle(data.ID, nil) {
		return
	}
	index, price := l.callOf(data.ID), cost(len(data.Bytes))
	if s := l.socket; s != nil && data.Kind != wire.DataBody && price <= l.granted {
		l.granted -= price
		if s.onMessage(data, price) {
			return
		}
	}
	if index < 0 || price > l.granted {
		w.counts.Protocol++
		w.options.Logger.Warn("nylon worker: data that was not asked for, or beyond its credit", "session", l.id, "id", data.ID)
		w.breakOff(l, wire.AbortProtocol)
		return
	}
	l.granted -= price
	c := l.calls[index]
	if c.into != nil {
		c.into.push(data.Bytes)
		if !data.More {
			l.endCall(index).done(nil, nil)
		}
		return
	}
	l.owed += uint32(price)
	if len(c.got)+len(data.Bytes) > c.max {
		// The gateway knows the limit and had to answer with an error.
		w.counts.Protocol++
		w.breakOff(l, wire.AbortProtocol)
		return
	}
	if c.got == nil {
		c.got = data.Bytes
	} else {
		c.got = append(c.got, data.Bytes...)
	}
	w.grant(l, data.ID)
	if data.More {
		return
	}
	l.endCall(index)
	c.done(c.got, nil)
}

// grant gives credit back in quarters of the window, and more while it flows and the connection's share allows.
func (w *Worker) grant(l *live, id uint32) {
	if l.owed < l.window/4 {
		return
	}
	bytes := l.owed
	l.owed = 0
	if more := min(l.window, windowLimit-min(l.window, windowLimit)); w.given+uint64(more) <= wire.MaxConnectionCredit {
		l.window += more
		w.given += uint64(more)
		bytes += more
	}
	l.granted += uint64(bytes)
	w.emit(l.gateway, l.reply, &wire.Credit{Head: l.head(), ID: id, Bytes: bytes})
}

// onCallError: the gateway refuses a call.
func (w *Worker) onCallError(l *live, frame *wire.Error) {
	index := -1
	if s := l.socket; s != nil {
		switch {
		case frame.CallID.Set && s.settle(uint32(frame.CallID.N), fmt.Errorf("asking the gateway: %s", frame.Text)):
			return
		case !frame.CallID.Set && frame.Code == wire.FailNotWebSocket && !s.open:
			s.refuse(fmt.Errorf("%w: %s", session.ErrNotWebSocket, frame.Text))
			return
		}
	}
	if frame.CallID.Set {
		index = l.callOf(uint32(frame.CallID.N))
	}
	if index < 0 {
		w.counts.Protocol++
		w.breakOff(l, wire.AbortProtocol)
		return
	}
	c := l.endCall(index)
	switch frame.Code {
	case wire.FailBodyTooLarge:
		c.done(nil, session.ErrBodyTooLarge)
	default:
		c.done(nil, &callError{frame.Code, frame.Text})
	}
}

type callError struct{ code, text string }

func (e *callError) Error() string {
	return fmt.Sprintf("asking the gateway: it answered %s: %s", e.code, e.text)
}

// Is: what there is not, or BodyReader has taken, is the same error over every transport.
func (e *callError) Is(target error) bool {
	return e.code == wire.FailNotFound && target == session.ErrNoBody
}

// pump sends as much of a large body as credit allows, and the result behind its last byte.
func (w *Worker) pump(l *live) {
	s := l.sending
	if s == nil {
		return
	}
	for s.sent < len(s.body) {
		if l.credit < wire.MessageMinCost {
			return
		}
		piece := min(len(s.body)-s.sent, w.chunk(), int(min(l.credit, 1<<30)))
		l.credit -= cost(piece)
		if !l.firstSent {
			w.accept(l)
		}
		bytes := s.body[s.sent : s.sent+piece]
		s.sent += piece
		w.emit(l.gateway, l.reply, &wire.Data{Head: l.head(), ID: s.id, Bytes: bytes, More: s.sent < len(s.body), Kind: wire.DataBody})
	}
	l.sending = nil
	w.emitResult(l, s.result)
}
