package sdktest

import (
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// Close codes that the gateway gives by itself (RFC 6455, 7.4.1).
const (
	closeNotUTF8 = 1007
	closeTooLong = 1009
)

// WebSocket is a client's side of a WebSocket that a handler has opened; it takes any number of messages. Safe for concurrent use.
type WebSocket struct {
	socket *socket
	over   chan struct{} // closed when the last phase has run
	result *Result
}

// Message is what a client gets: a whole one.
type Message struct {
	// Binary: it is no text.
	Binary bool
	// Data of the message, a copy.
	Data []byte
}

// Text is the message as a string.
func (m Message) Text() string { return string(m.Data) }

// CloseError is how a WebSocket was closed (RFC 6455, 7.4.1), by whichever side.
type CloseError struct {
	// Code of the close frame; 1005 if there was none in it, 1006 if there was no frame.
	Code uint16
	// Reason that the frame gave.
	Reason string
}

// Error is the code and the reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("the WebSocket is closed: %d %s", e.Code, e.Reason)
}

// Dial sends a request with the headers of a handshake through the middleware entry, and waits for the handler's verdict. The result
// has the 101, or what the handler has answered instead; then the WebSocket is nil. Members of a room are the WebSockets of this
// plugin. One that is open lasts until either side closes it.
func (p *Plugin) Dial(entry string, request *Request) (*WebSocket, *Result) {
	asked := *request
	asked.Header = request.Header.Clone()
	if asked.Header == nil {
		asked.Header = http.Header{}
	}
	for name, value := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "c2RrdGVzdCBoYW5kc2hha2U=",
	} {
		asked.Header.Set(name, value)
	}
	upgraded := make(chan *socket, 1)
	ws := &WebSocket{over: make(chan struct{})}
	go func() {
		defer close(ws.over)
		ws.result = p.do(entry, &asked, upgraded)
	}()
	select {
	case ws.socket = <-upgraded:
	case <-ws.over:
		select {
		case ws.socket = <-upgraded: // one that the handler closes at once may be over already
		default:
			return nil, ws.result
		}
	}
	return ws, &Result{Status: http.StatusSwitchingProtocols, Header: ws.socket.header(), Phases: []string{"request filter"}}
}

// Subprotocol that the handler has chosen; "" if none.
func (ws *WebSocket) Subprotocol() string { return ws.socket.protocol }

// SendText sends a text message, and does not wait for the handler. One that is no UTF-8 closes the WebSocket with 1007, one that is
// longer than the handler allows with 1009, as in a gateway. On a closed one it is a *CloseError.
func (ws *WebSocket) SendText(text string) error { return ws.send(false, []byte(text)) }

// SendBinary sends a binary message, as SendText. It does not keep data.
func (ws *WebSocket) SendBinary(data []byte) error { return ws.send(true, append([]byte{}, data...)) }

func (ws *WebSocket) send(binary bool, data []byte) error {
	s := ws.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return &CloseError{s.code, s.reason}
	case len(data) > s.most:
		s.finish(closeTooLong, "", fmt.Sprintf("a message of %d bytes is longer than %d", len(data), s.most))
	case !binary && !utf8.Valid(data):
		s.finish(closeNotUTF8, "", "a text message is not UTF-8")
	default:
		s.push(event{run: func() { s.events.Message(s, binary, data) }, message: true})
	}
	return nil
}

// Receive waits for the next message, no longer than the plugin's Timeout, after which it is an error. Behind the last one it gives
// a *CloseError.
func (ws *WebSocket) Receive() (Message, error) {
	timer := time.NewTimer(ws.socket.session.plugin.Timeout)
	defer timer.Stop()
	for {
		message, came, err := ws.socket.next()
		if came || err != nil {
			return message, err
		}
		select {
		case <-ws.socket.came:
		case <-timer.C:
			return Message{}, errors.New("receiving from a WebSocket: the handler has sent nothing")
		}
	}
}

// Close closes the WebSocket with a code and a reason, which the handler's OnClose can read; any are taken. It does not wait, Wait
// does. On a closed one it does nothing.
func (ws *WebSocket) Close(code uint16, reason string) { ws.finish(code, reason, "") }

// Leave ends the connection without a close frame, as a client does that loses its network: OnError runs, CloseStatus is 1006. On a
// closed one it does nothing.
func (ws *WebSocket) Leave() { ws.finish(1006, "", sdk.ErrClientGone.Error()) }

func (ws *WebSocket) finish(code uint16, reason, failure string) {
	ws.socket.mu.Lock()
	defer ws.socket.mu.Unlock()
	ws.socket.finish(code, reason, failure)
}

// Wait waits until the WebSocket is closed, OnClose has returned and the logging phase has run, no longer than the plugin's
// Timeout (then Err is sdk.ErrPhaseTimeout), and gives what came of the request. It closes nothing, and may be called again.
func (ws *WebSocket) Wait() *Result {
	select {
	case <-ws.over:
		return ws.result
	case <-time.After(ws.socket.session.plugin.Timeout):
		return &Result{Err: fmt.Errorf("waiting for the end of a WebSocket: %w", sdk.ErrPhaseTimeout)}
	}
}

// header is what the 101 has.
func (s *socket) header() http.Header {
	var headers []wire.Header
	for _, op := range s.head {
		headers = change(headers, op)
	}
	if s.protocol != "" {
		headers = append(headers, wire.Header{Name: "sec-websocket-protocol", Value: s.protocol})
	}
	return httpHeaders(headers)
}
