package sdk

import (
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// WebSocketCallbacks are what a plugin does with a WebSocket; nil ones are not called. They run one at a time per connection, in
// the order of what happened; those of different connections run in parallel. There is no deadline, but a callback that blocks
// holds back its client's messages; in a library 16 MiB of them may wait, then the connection is closed. One that panics closes its
// connection with 1011.
type WebSocketCallbacks struct {
	// OnOpen runs first, when the 101 is out.
	OnOpen func(ws *WebSocketConn)
	// OnMessageText runs for each text message, in order.
	OnMessageText func(ws *WebSocketConn, msg string)
	// OnMessageBinary runs for each binary message, in order. The slice is the callback's own.
	OnMessageBinary func(ws *WebSocketConn, data []byte)
	// OnClose runs exactly once, last. CloseStatus says how it was closed. Rooms may still be spoken to; the client gets nothing more.
	OnClose func(ws *WebSocketConn)
	// OnError runs before OnClose, once, if the connection failed: without an orderly close. err is a text for people.
	OnError func(ws *WebSocketConn, err string)
}

// WebSocketOptions are what a plugin wants of a WebSocket.
type WebSocketOptions struct {
	// Subprotocols that the plugin speaks, the one that it likes best first. The first that the client offers is chosen; if it
	// offers none of them there is none, unless a Sec-WebSocket-Protocol that was set before names one (RFC 6455, 1.9).
	Subprotocols []string
	// MaxMessageBytes is the longest message of the client, in bytes; a longer one closes the connection with 1009. 0: 1 MiB over
	// NATS, the plugin's max_body_bytes in a library.
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
// with ErrSessionClosed when the connection is closed, or with what ended the session. The gateway pings and answers pings.
type WebSocketConn struct{ port session.SocketPort }

func (ws *WebSocketConn) did(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s on a WebSocket: %w", what, err)
	}
	return nil
}

// SendText sends a text message; msg has to be UTF-8, otherwise it is an error and nothing is sent. It blocks where the client is
// slower; in a library for 1 s at most, and a client that is 8 MiB behind is cut. Nil means that the message is on its way, not that
// it has arrived.
func (ws *WebSocketConn) SendText(msg string) error {
	return ws.did("sending text", ws.port.Send(false, []byte(msg)))
}

// SendBinary sends a binary message, as SendText. It does not keep data.
func (ws *WebSocketConn) SendBinary(data []byte) error {
	return ws.did("sending bytes", ws.port.Send(true, data))
}

// Close closes the connection with code 1000; OnClose follows, and messages that come meanwhile are dropped. It does not wait. Only
// the first of Close and CloseWith counts; later ones, and those on a closed connection, do nothing.
func (ws *WebSocketConn) Close() error { return ws.CloseWith(session.CloseNormal, "") }

// CloseWith is Close with a code that may be sent (RFC 6455, 7.4: 1000 to 1003, 1007 to 1014, 3000 to 4999) and a reason, UTF-8 of up
// to 123 bytes; any other is an error, and the connection stays open. A gateway that has loaded the plugin and knows no codes closes
// with 1000.
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

// Subprotocol is the sub-protocol that was chosen; "" if there is none. It is known in OnOpen.
func (ws *WebSocketConn) Subprotocol() string { return ws.port.Subprotocol() }

// JoinRoom makes the connection a member of a room (SPEC 14.12). A room's name is neither empty nor has it a NUL, otherwise it is an
// error; rooms are those of the plugin, whatever the entry. Over NATS it returns when broadcasts reach the connection, a library does
// not wait. Twice is once; one room more than 1,024 is an error over NATS, and only logged in a library. A connection that closes
// leaves its rooms by itself.
func (ws *WebSocketConn) JoinRoom(room string) error {
	return ws.did("joining a room", ws.port.Join(room))
}

// LeaveRoom ends the membership, and does nothing where there is none. It does not wait.
func (ws *WebSocketConn) LeaveRoom(room string) error {
	return ws.did("leaving a room", ws.port.Leave(room))
}

// BroadcastText sends a text message to every member of a room, on all gateways, this connection too if it is one. The message is
// UTF-8 of less than 128 KiB; a longer one is an error over NATS, and lost and logged beyond the gateway of a library. Over NATS it
// returns when the gateway has handed it on; there is no word from the members.
func (ws *WebSocketConn) BroadcastText(room string, message string) error {
	return ws.did("broadcasting text", ws.port.Broadcast(room, false, []byte(message)))
}

// BroadcastBinary sends a binary message to every member of a room, as BroadcastText.
func (ws *WebSocketConn) BroadcastBinary(room string, payload []byte) error {
	return ws.did("broadcasting bytes", ws.port.Broadcast(room, true, payload))
}
