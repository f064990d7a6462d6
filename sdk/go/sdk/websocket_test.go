package sdk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

// sockets is a plugin whose one entry upgrades every request, and notes the status in logging.
func sockets(t *testing.T, options sdk.WebSocketOptions, callbacks sdk.WebSocketCallbacks) *sdktest.Plugin {
	t.Helper()
	p := sdktest.New()
	p.AddPhaseHandler("ws", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Response().SetHeader("X-A", "1")
			ctx.Response().SetStatus(500)
			if err := ctx.WebSocketUpgradeWith(options, callbacks); err != nil {
				ctx.Response().SetStatus(426)
				ctx.End()
			}
		})
		phase.Logging(func(ctx *sdk.PhaseLogging) {
			if ctx.Response().Status() != 101 && ctx.Response().Status() != 426 {
				t.Error(ctx.Response().Status())
			}
			ctx.Next()
		})
	})
	return p
}

// dial opens a WebSocket that has to open.
func dial(t *testing.T, p *sdktest.Plugin, headers ...string) *sdktest.WebSocket {
	t.Helper()
	ws, answer := p.Dial("ws", sdktest.Get("/", headers...))
	if ws == nil || answer.Status != 101 || answer.Header.Get("X-A") != "1" {
		t.Fatalf("%+v", answer)
	}
	return ws
}

func receive(t *testing.T, ws *sdktest.WebSocket, want string) {
	t.Helper()
	message, err := ws.Receive()
	if got := fmt.Sprintf("%v:%s", message.Binary, message.Text()); err != nil || got != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
}

func closed(t *testing.T, ws *sdktest.WebSocket, code uint16, reason string) {
	t.Helper()
	var status *sdktest.CloseError
	if _, err := ws.Receive(); !errors.As(err, &status) || status.Code != code || status.Reason != reason {
		t.Errorf("%v, want %d %s", err, code, reason)
	}
}

func TestAWebSocketInMemory(t *testing.T) {
	said := make(chan string, 10)
	p := sockets(t, sdk.WebSocketOptions{}, sdk.WebSocketCallbacks{
		OnOpen:          func(ws *sdk.WebSocketConn) { said <- fmt.Sprint("open ", ws.SendText("hello")) },
		OnMessageText:   func(ws *sdk.WebSocketConn, text string) { _ = ws.SendText("re " + text) },
		OnMessageBinary: func(ws *sdk.WebSocketConn, data []byte) { _ = ws.SendBinary(data) },
		OnError:         func(_ *sdk.WebSocketConn, text string) { said <- text },
		OnClose: func(ws *sdk.WebSocketConn) {
			code, reason := ws.CloseStatus()
			said <- fmt.Sprint(code, " ", reason)
			if err := ws.SendText("late"); !errors.Is(err, sdk.ErrSessionClosed) {
				t.Error(err)
			}
		},
	})
	ws := dial(t, p)
	if err := errors.Join(ws.SendText("one"), ws.SendBinary([]byte{0, 255})); err != nil {
		t.Error(err)
	}
	receive(t, ws, "false:hello")
	receive(t, ws, "false:re one")
	receive(t, ws, "true:\x00\xff")
	ws.Close(4002, "bye")
	if got := ws.Wait(); got.Status != 101 || got.Err != nil || strings.Join(got.Phases, ",") != "request filter,logging" {
		t.Errorf("%+v", got)
	}
	if err := ws.SendText("late"); err == nil {
		t.Error("sent behind the close")
	}
	ws = dial(t, p)
	receive(t, ws, "false:hello")
	ws.Leave()
	ws.Wait()
	want := []string{"open <nil>", "4002 bye", "open <nil>", sdk.ErrClientGone.Error(), "1006 "}
	for _, each := range want {
		if got := <-said; got != each {
			t.Errorf("%q, want %q", got, each)
		}
	}
	if got := p.Do("ws", sdktest.Get("/")); got.Status != 426 {
		t.Errorf("%+v", got)
	}
}

func TestOnCloseRunsOnceAndLastWhateverFails(t *testing.T) {
	heard := make(chan string, 10)
	p := sockets(t, sdk.WebSocketOptions{MaxMessageBytes: 4}, sdk.WebSocketCallbacks{
		OnMessageText: func(ws *sdk.WebSocketConn, text string) {
			if text == "kick" {
				heard <- fmt.Sprint(ws.CloseWith(4001, "out"), ws.CloseWith(4002, "again"), ws.Close())
			} else {
				panic(text)
			}
		},
		OnError: func(*sdk.WebSocketConn, string) { heard <- "error" },
		OnClose: func(*sdk.WebSocketConn) { heard <- "close" },
	})
	for name, test := range map[string]struct {
		text   string
		code   uint16
		reason string
		heard  []string
	}{
		"closed by the handler": {"kick", 4001, "out", []string{"<nil> <nil> <nil>", "close"}},
		"a panic":               {"boom", 1011, "the handler failed", []string{"close"}},
		"too long":              {"12345", 1009, "", []string{"error", "close"}},
		"no UTF-8":              {"\xff", 1007, "", []string{"error", "close"}},
	} {
		t.Run(name, func(t *testing.T) {
			ws := dial(t, p)
			if err := ws.SendText(test.text); err != nil {
				t.Error(err)
			}
			closed(t, ws, test.code, test.reason)
			ws.Close(1000, "") // it is closed
			ws.Leave()
			ws.Wait()
			for _, want := range test.heard {
				if got := <-heard; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			if len(heard) > 0 {
				t.Error(<-heard)
			}
		})
	}
}

func TestWhatCannotCloseAWebSocket(t *testing.T) {
	errs := make(chan error, 8)
	p := sockets(t, sdk.WebSocketOptions{}, sdk.WebSocketCallbacks{OnOpen: func(ws *sdk.WebSocketConn) {
		for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 2999, 5000} {
			errs <- ws.CloseWith(code, "")
		}
		if ws.CloseWith(1000, strings.Repeat("x", 124)) == nil || ws.CloseWith(1000, "\xff") == nil {
			t.Error("a reason that is none")
		}
		if err := ws.CloseWith(3000, strings.Repeat("x", 123)); err != nil {
			t.Error(err)
		}
	}})
	ws := dial(t, p)
	ws.Wait()
	for range 8 {
		if <-errs == nil {
			t.Error("a code that no frame may have")
		}
	}
}

func TestRoomsInMemory(t *testing.T) {
	p := sockets(t, sdk.WebSocketOptions{}, sdk.WebSocketCallbacks{
		OnOpen: func(ws *sdk.WebSocketConn) { _ = errors.Join(ws.JoinRoom("r"), ws.JoinRoom("r"), ws.SendText("in")) },
		OnMessageText: func(ws *sdk.WebSocketConn, text string) {
			switch text {
			case "leave":
				_ = errors.Join(ws.LeaveRoom("r"), ws.SendText("out"))
			case "wrong":
				if ws.JoinRoom("") == nil || ws.BroadcastText("r\x00", "") == nil || ws.BroadcastBinary("r", make([]byte, 128<<10)) == nil {
					t.Error("a name or a message that is none")
				}
				_ = ws.BroadcastBinary("r", []byte("all"))
			default:
				_ = ws.BroadcastText("r", text)
			}
		},
		OnClose: func(ws *sdk.WebSocketConn) {
			if ws.JoinRoom("r") == nil {
				t.Error("joined behind the close")
			}
			_ = ws.BroadcastText("r", "has left")
		},
	})
	a, b, c := dial(t, p), dial(t, p), dial(t, p)
	for _, ws := range []*sdktest.WebSocket{a, b, c} {
		receive(t, ws, "false:in")
	}
	_ = c.SendText("leave")
	receive(t, c, "false:out")
	_ = a.SendText("one")
	receive(t, a, "false:one")
	receive(t, b, "false:one")
	_ = b.SendText("wrong")
	receive(t, a, "true:all")
	a.Close(1000, "")
	a.Wait()
	receive(t, b, "true:all")
	receive(t, b, "false:has left")
	_ = c.SendText("leave")
	receive(t, c, "false:out") // and nothing of the room
}
