package sdk

import "fmt"

// WebSocketCallbacks are what a plugin does with a WebSocket; nil ones are not called. They run one at a time per connection.
type WebSocketCallbacks struct {
	// OnOpen runs first.
	OnOpen func(ws *WebSocketConn)
	// OnMessageText runs for each text message, in order.
	OnMessageText func(ws *WebSocketConn, msg string)
	// OnMessageBinary runs for each binary message, in order.
	OnMessageBinary func(ws *WebSocketConn, data []byte)
	// OnClose runs exactly once, last.
	OnClose func(ws *WebSocketConn)
	// OnError runs before OnClose if the connection failed.
	OnError func(ws *WebSocketConn, err string)
}

// WebSocketConn is a client's WebSocket. No transport of this version makes one; its methods give ErrNotSupported.
type WebSocketConn struct{}

func (ws *WebSocketConn) call(what string) error {
	return fmt.Errorf("%s on a WebSocket: %w", what, ErrNotSupported)
}

// SendText sends a text message.
func (ws *WebSocketConn) SendText(msg string) error { return ws.call("sending text") }

// SendBinary sends a binary message.
func (ws *WebSocketConn) SendBinary(data []byte) error { return ws.call("sending bytes") }

// Close closes the connection with code 1000.
func (ws *WebSocketConn) Close() error { return ws.call("closing") }

// JoinRoom makes the connection a member of a room.
func (ws *WebSocketConn) JoinRoom(room string) error { return ws.call("joining a room") }

// LeaveRoom ends the membership.
func (ws *WebSocketConn) LeaveRoom(room string) error { return ws.call("leaving a room") }

// BroadcastText sends a text message to every member of a room.
func (ws *WebSocketConn) BroadcastText(room string, message string) error {
	return ws.call("broadcasting text")
}

// BroadcastBinary sends a binary message to every member of a room.
func (ws *WebSocketConn) BroadcastBinary(room string, payload []byte) error {
	return ws.call("broadcasting bytes")
}
