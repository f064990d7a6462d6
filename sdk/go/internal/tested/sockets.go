package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// sockets are the entries of the tests about WebSockets, tests/e2e/plugins/sockets.py in Go.
var sockets = map[string]func(*sdk.PhaseHandler){"talk": talk, "called": called, "parting": parting, "rooms": rooms}

// upgrading makes every request a WebSocket.
func upgrading(phase *sdk.PhaseHandler, callbacks func(id string) sdk.WebSocketCallbacks) {
	logged(phase)
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().SetHeader("X-Entry", "echo")
		for offered := range strings.SplitSeq(ctx.Request().Header("Sec-WebSocket-Protocol"), ",") {
			if strings.TrimSpace(offered) == "chat.v2" {
				ctx.Response().SetHeader("Sec-WebSocket-Protocol", "chat.v2")
			}
		}
		if err := ctx.WebSocketUpgrade(callbacks(ctx.Request().Header("x-id"))); err != nil {
			ctx.Response().SetStatus(426)
			ctx.Response().BodyText(err.Error())
			ctx.End()
		}
	})
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// talk says what it hears.
func talk(phase *sdk.PhaseHandler) {
	upgrading(phase, func(id string) sdk.WebSocketCallbacks {
		return sdk.WebSocketCallbacks{
			OnMessageText:   func(ws *sdk.WebSocketConn, msg string) { must(ws.SendText(msg)) },
			OnMessageBinary: func(ws *sdk.WebSocketConn, data []byte) { must(ws.SendBinary(data)) },
			OnClose:         func(*sdk.WebSocketConn) { note(map[string]any{"id": id, "over": true}) },
		}
	})
}

// called notes each callback.
func called(phase *sdk.PhaseHandler) {
	upgrading(phase, func(id string) sdk.WebSocketCallbacks {
		on := func(what string) { note(map[string]any{"id": id, "on": what}) }
		return sdk.WebSocketCallbacks{
			OnOpen: func(ws *sdk.WebSocketConn) {
				on("open")
				time.Sleep(10 * time.Millisecond) // sleep: a message must wait for its end
				on("opened")
				must(ws.JoinRoom("hall"))
			},
			OnMessageText: func(ws *sdk.WebSocketConn, msg string) {
				on("text")
				if msg == "raise" {
					panic("asked to panic")
				}
				must(ws.BroadcastText("hall", id+": "+msg))
			},
			OnMessageBinary: func(*sdk.WebSocketConn, []byte) { on("binary") },
			OnError:         func(*sdk.WebSocketConn, string) { on("error") },
			OnClose: func(ws *sdk.WebSocketConn) {
				on("close")
				must(ws.LeaveRoom("hall"))
				must(ws.BroadcastText("hall", id+" has left"))
			},
		}
	})
}

// parting has no phase behind its WebSocket, and takes its time with the goodbye.
func parting(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		id := ctx.Request().Header("x-id")
		must(ctx.WebSocketUpgrade(sdk.WebSocketCallbacks{
			OnOpen: func(ws *sdk.WebSocketConn) {
				must(ws.JoinRoom("hall"))
				must(ws.SendText("hello"))
			},
			OnClose: func(ws *sdk.WebSocketConn) {
				time.Sleep(20 * time.Millisecond) // sleep: a callback that lasts longer than the gateway has anything to do
				must(ws.BroadcastText("hall", id+" has left"))
			},
		}))
	})
}

// rooms does `join x`, `leave x`, `say x y`, `bytes x n`; what is done is answered by `done`.
func rooms(phase *sdk.PhaseHandler) {
	upgrading(phase, func(string) sdk.WebSocketCallbacks {
		return sdk.WebSocketCallbacks{OnMessageText: func(ws *sdk.WebSocketConn, msg string) {
			words := append(strings.SplitN(msg, " ", 3), "", "")
			switch words[0] {
			case "join":
				must(ws.JoinRoom(words[1]))
			case "leave":
				must(ws.LeaveRoom(words[1]))
			case "say":
				must(ws.BroadcastText(words[1], words[2]))
			case "bytes":
				n, err := strconv.Atoi(words[2])
				must(err)
				must(ws.BroadcastBinary(words[1], bytes.Repeat([]byte("x"), n)))
			default:
				panic(fmt.Sprintf("what is %q?", msg))
			}
			must(ws.SendText("done"))
		}}
	})
}
