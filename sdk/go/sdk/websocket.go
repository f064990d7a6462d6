package sdk

import (
	"fmt"
	"log/slog"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// WebSocketCallbacks are what a plugin does with a WebSocket; nil ones are not called. They run one at a time per connection, in
// the order of what happened; those of different connections run in parallel. One that panics closes its connection.
type WebSocketCallbacks struct {
	// OnOpen runs first.
	OnOpen func(ws *WebSocketConn)
	// OnMessageText runs for each text message, in order.
	OnMessageText func(ws *WebSocketConn, msg string)
	// OnMessageBinary runs for each binary message, in order. The slice is the callback's own.
	OnMessageBinary func(ws *WebSocketConn, data []byte)
	// OnClose runs exactly once, last.
	OnClose func(ws *WebSocketConn)
	// OnError runs before OnClose if the connection failed.
	OnError func(ws *WebSocketConn, err string)
}

// events is the callbacks as a transport calls them: no panic gets out.
func (c WebSocketCallbacks) events(log *slog.Logger) session.SocketEvents {
	run := func(port session.SocketPort, what string, fn func(ws *WebSocketConn)) {
		if guarded(log, what, func() { fn(&WebSocketConn{port}) }) == nil {
			return
		}
		if err := port.Fail(); err != nil {
			log.Debug("nylon plugin: closing a WebSocket after a panic", "error", err)
		}
	}
	return session.SocketEvents{
		Open: func(port session.SocketPort) {
			if c.OnOpen != nil {
				run(port, "OnOpen", c.OnOpen)
			}
		},
		Message: func(port session.SocketPort, binary bool, data []byte) {
			switch {
			case binary && c.OnMessageBinary != nil:
				run(port, "OnMessageBinary", func(ws *WebSocketConn) { c.OnMessageBinary(ws, data) })
			case !binary && c.OnMessageText != nil:
				run(port, "OnMessageText", func(ws *WebSocketConn) { c.OnMessageText(ws, string(data)) })
			}
		},
		Failed: func(port session.SocketPort, text string) {
			if c.OnError != nil {
				run(port, "OnError", func(ws *WebSocketConn) { c.OnError(ws, text) })
			}
		},
		Closed: func(port session.SocketPort) {
			if c.OnClose != nil {
				run(port, "OnClose", c.OnClose)
			}
		},
	}
}

// WebSocketConn is a client's WebSocket. It may be kept and used from any goroutine until OnClose has returned. Its methods fail
// with ErrSessionClosed when the connection is closed.
type WebSocketConn struct{ port session.SocketPort }

func (ws *WebSocketConn) did(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s on a WebSocket: %w", what, err)
	}
	return nil
}

// SendText sends a text message; msg has to be UTF-8.
func (ws *WebSocketConn) SendText(msg string) error {
	return ws.did("sending text", ws.port.Send(false, []byte(msg)))
}

// SendBinary sends a binary message. It does not keep data.
func (ws *WebSocketConn) SendBinary(data []byte) error {
	return ws.did("sending bytes", ws.port.Send(true, data))
}

// Close closes the connection; OnClose follows. A second call does nothing.
func (ws *WebSocketConn) Close() error { return ws.did("closing", ws.port.Close()) }

// JoinRoom makes the connection a member of a room. A room's name is neither empty nor has it a NUL; rooms are those of the
// plugin, whatever the entry. A connection that closes leaves its rooms by itself.
func (ws *WebSocketConn) JoinRoom(room string) error {
	return ws.did("joining a room", ws.port.Join(room))
}

// LeaveRoom ends the membership.
func (ws *WebSocketConn) LeaveRoom(room string) error {
	return ws.did("leaving a room", ws.port.Leave(room))
}

// BroadcastText sends a text message to every member of a room, this connection too if it is one.
func (ws *WebSocketConn) BroadcastText(room string, message string) error {
	return ws.did("broadcasting text", ws.port.Broadcast(room, false, []byte(message)))
}

// BroadcastBinary sends a binary message to every member of a room, this connection too if it is one.
func (ws *WebSocketConn) BroadcastBinary(room string, payload []byte) error {
	return ws.did("broadcasting bytes", ws.port.Broadcast(room, true, payload))
}
