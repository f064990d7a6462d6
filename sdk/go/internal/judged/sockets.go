package judged

import (
	"cmp"
	"fmt"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// websocket is a step {"do": "websocket", "steps": […]}; with "try": true a refusal is noted and the plan goes on.
func (c *at) websocket(s step) {
	if c.upgrade == nil {
		panic("no WebSocket in a " + c.name)
	}
	talk := &talk{at: c, left: steps(s["steps"])}
	options := sdk.WebSocketOptions{Subprotocols: s.texts("subprotocols"), MaxMessageBytes: s.number("max_message_bytes")}
	err := c.upgrade(options, sdk.WebSocketCallbacks{
		OnOpen: func(ws *sdk.WebSocketConn) {
			c.note(nil, map[string]any{"open": true, "subprotocol": orNothing(ws.Subprotocol())})
			talk.on(ws, nil)
		},
		OnMessageText:   func(ws *sdk.WebSocketConn, text string) { talk.on(ws, &message{"text", []byte(text)}) },
		OnMessageBinary: func(ws *sdk.WebSocketConn, data []byte) { talk.on(ws, &message{"binary", data}) },
		OnError:         func(_ *sdk.WebSocketConn, text string) { talk.failed = text },
		OnClose: func(ws *sdk.WebSocketConn) {
			talk.closed = true
			talk.on(ws, nil)
		},
	})
	switch {
	case err == nil:
		c.over = true
	case s["try"] == true:
		c.note(nil, map[string]any{"raised": err.Error(), "text": err.Error()})
	default:
		panic(err)
	}
}

// orNothing is null where there is no text.
func orNothing(text string) any {
	if text == "" {
		return nil
	}
	return text
}

type message struct {
	kind string
	data []byte
}

// talk does the steps of a WebSocket: each callback as many as it can. It is used by one callback at a time.
type talk struct {
	*at
	left   []step
	failed string
	closed bool
}

// on goes on with a message, or without one because the WebSocket has opened or closed.
func (t *talk) on(ws *sdk.WebSocketConn, came *message) {
	for len(t.left) > 0 {
		s := t.left[0]
		waits := false
		switch s.text("do") {
		case "receive":
			waits = came == nil && !t.closed
		case "echo":
			if came != nil {
				t.try(s, t.say(ws, came.kind == "binary", came.data))
			}
			waits, came = !t.closed, nil
		case "ended":
			waits = !t.closed
		}
		if waits {
			return
		}
		t.left = t.left[1:]
		if s.text("do") == "receive" && came == nil && t.cancelled() {
			t.try(s, fmt.Errorf("receiving a message: %s", t.failed))
		} else if s.text("do") == "receive" {
			t.received(came)
			came = nil
		} else if s.text("do") != "echo" {
			t.try(s, t.play(ws, s))
		}
	}
	if !t.closed {
		t.try(nil, ws.Close())
	}
}

func (t *talk) received(came *message) {
	if came == nil {
		came = &message{kind: "end"}
	}
	begins := string(came.data[:min(len(came.data), 16)])
	t.note(nil, map[string]any{"received": came.kind, "length": len(came.data), "begins": begins})
}

// try notes an error of a step with "try": true; any other ends the handler.
func (t *talk) try(s step, err error) {
	if err == nil {
		return
	}
	if s["try"] != true {
		panic(err)
	}
	t.note(nil, map[string]any{"raised": err.Error()})
}

// play is what a handler does while it holds a WebSocket.
func (t *talk) play(ws *sdk.WebSocketConn, s step) error {
	room := s.text("room")
	switch s.text("do") {
	case "say":
		return t.say(ws, s.text("text") == "", s.data())
	case "ended":
		code, reason := ws.CloseStatus()
		t.note(nil, map[string]any{"code": code, "reason": reason, "error": orNothing(t.failed)})
	case "close":
		return ws.CloseWith(uint16(cmp.Or(s.number("code"), 1000)), s.text("reason"))
	case "join":
		if err := ws.JoinRoom(room); err != nil {
			return err
		}
		t.note(nil, map[string]any{"joined": room})
	case "leave":
		return ws.LeaveRoom(room)
	case "broadcast":
		if err := t.broadcast(ws, room, s); err != nil {
			return err
		}
		t.note(nil, map[string]any{"said": room})
	case "wait":
		t.wait(s.number("ms"), true)
		t.note(nil, map[string]any{"waited": s.number("ms"), "cancelled": t.cancelled()})
	case "raise":
		panic("asked to raise")
	default:
		panic(fmt.Sprintf("nobody knows %v in a WebSocket", s))
	}
	return nil
}

func (t *talk) say(ws *sdk.WebSocketConn, binary bool, data []byte) error {
	if binary {
		return ws.SendBinary(data)
	}
	return ws.SendText(string(data))
}

func (t *talk) broadcast(ws *sdk.WebSocketConn, room string, s step) error {
	if s.text("text") == "" {
		return ws.BroadcastBinary(room, s.data())
	}
	return ws.BroadcastText(room, s.text("text"))
}
