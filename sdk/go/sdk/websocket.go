package sdk

import (
	"fmt"
	"log/slog"
	"unicode/utf8"

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
	// OnClose runs exactly once, last. CloseStatus says how it was closed.
	OnClose func(ws *WebSocketConn)
	// OnError runs before OnClose, once, if the connection failed.
	OnError func(ws *WebSocketConn, err string)
}

// WebSocketOptions are what a plugin wants of a WebSocket.
type WebSocketOptions struct {
	// Subprotocols that the plugin speaks, the one that it likes best first. The first that the client offers is chosen; if it
	// offers none of them there is none.
	Subprotocols []string
	// MaxMessageBytes is the longest message of the client; a longer one closes the connection with 1009. 0: 1 MiB over NATS,
	// the plugin's max_body_bytes in a library.
	MaxMessageBytes int
}

// events is the callbacks as a transport calls them: no panic gets out.
func (c WebSocketCallbacks) events(log *slog.Logger) session.SocketEvents {
	run := func(port session.SocketPort, what string, fn func(ws *WebSocketConn)) {
		if guarded(log, what, func() { fn(&WebSocketConn{port}) }) == nil {
			return
		}
		if err := port.Close(session.CloseFailed, "the handler failed"); err != nil {
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

// Close closes the connection with code 1000; OnClose follows. Only the first of Close and CloseWith counts.
func (ws *WebSocketConn) Close() error { return ws.CloseWith(session.CloseNormal, "") }

// CloseWith closes the connection with a code (1000, 1001, …, or 3000 to 4999) and a reason of up to 123 bytes; OnClose
// follows. A gateway that has loaded the plugin and knows no codes closes with 1000.
func (ws *WebSocketConn) CloseWith(code uint16, reason string) error {
	switch {
	case code < 1000, code > 1003 && code < 1007, code > 1014 && code < 3000, code > 4999:
		return fmt.Errorf("closing a WebSocket: %d is no code to close with", code)
	case len(reason) > 123 || !utf8.ValidString(reason):
		return fmt.Errorf("closing a WebSocket: the reason has %d bytes, and has to be UTF-8 of up to 123", len(reason))
	}
	return ws.did("closing", ws.port.Close(code, reason))
}

// CloseStatus is the code and the reason that the connection was closed with: 1005 if there was no code, 1006 if the client has
// just gone. The code is 0 until OnError or OnClose.
func (ws *WebSocketConn) CloseStatus() (code uint16, reason string) { return ws.port.Closed() }

// Subprotocol is the sub-protocol that was chosen; "" if there is none.
func (ws *WebSocketConn) Subprotocol() string { return ws.port.Subprotocol() }

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
