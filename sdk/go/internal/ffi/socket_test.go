package ffi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func TestAFailureIsToldOnceAndBeforeTheOpenIsARefusal(t *testing.T) {
	h, heard, closed, results := newHost(), "", make(chan struct{}, 1), make(chan error, 1)
	begin := func(sid uint32) {
		h.open(t, sid, func(port session.Port, run *session.Run) {
			results <- port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{
				Open:   func(session.SocketPort) { heard += "open " },
				Failed: func(_ session.SocketPort, text string) { heard += text + " " },
				Closed: func(port session.SocketPort) {
					code, _ := port.Closed()
					heard += fmt.Sprint("closed ", code)
					close(closed)
				},
			})
		})
		h.library.Event(sid, uint8(wire.RequestFilter), 0, nil)
		if method := <-h.came; method != socketUpgrade {
			t.Fatal(method)
		}
	}
	begin(1)
	h.library.Event(1, 0, socketOpened, nil)
	h.library.Event(1, 0, socketFailed, []byte("lost"))
	h.library.Event(1, 0, socketFailed, []byte("lost"))
	h.library.Event(1, 0, socketClosed, nil)
	h.library.Event(1, 0, socketFailed, []byte("lost"))
	h.library.Close(1)
	if err := <-results; err != nil {
		t.Error(err)
	}
	<-closed
	begin(2)
	h.library.Event(2, 0, socketFailed, []byte("gone"))
	h.library.Event(2, 0, socketClosed, nil)
	if err := <-results; !errors.Is(err, session.ErrClosed) {
		t.Error(err)
	}
	if heard != "open lost closed 1006" {
		t.Errorf("%q", heard)
	}
}

func TestAHostThatKnowsMoreOfWebSockets(t *testing.T) {
	h, results, closed := newHost(), make(chan error, 1), make(chan string, 1)
	h.library.Extensions([]uint32{upgradeWith, closeWith, readAllRequest})
	h.answers[readAllRequest] = string(oneHeader("sec-websocket-protocol", "v0, v1"))
	options := session.SocketOptions{Subprotocols: []string{"v2", "v1"}, MaxMessageBytes: 258}
	h.open(t, 1, func(port session.Port, run *session.Run) {
		if !port.Upgradable(run) {
			t.Error("it does not ask the host")
		}
		_ = port.Apply(run, wire.Operation{Number: wire.OpSetResponseStatus, Status: 426})
		events := session.SocketEvents{
			Open: func(port session.SocketPort) { _ = port.Close(4001, "so") },
			Closed: func(port session.SocketPort) {
				code, reason := port.Closed()
				closed <- fmt.Sprintf("%d %s %s", code, reason, port.Subprotocol())
			},
		}
		err := port.Upgrade(run, options, events)
		results <- err
		if err != nil {
			_ = port.Finish(run, wire.End)
		}
	})
	wait := func(want ...uint32) {
		t.Helper()
		for _, method := range want {
			if came := <-h.came; came != method {
				t.Fatalf("sent %d, want %d", came, method)
			}
		}
	}
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	wait(readAllRequest, upgradeWith)
	if got := string(h.last[upgradeWith]); got != "\x00\x00\x01\x02v1" {
		t.Errorf("%q", got)
	}
	h.library.Event(1, 0, upgradeWith, []byte("no key"))
	if err := <-results; !errors.Is(err, session.ErrNotWebSocket) {
		t.Error(err)
	}
	wait(wire.OpSetResponseStatus, end) // the answer is the handler's again
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	wait(readAllRequest, upgradeWith)
	h.library.Event(1, 0, socketOpened, nil)
	wait(closeWith)
	if got := string(h.last[closeWith]); got != "\x0f\xa1so" {
		t.Errorf("%q", got)
	}
	h.library.Event(1, 0, socketClosed, []byte("\x0f\xa1so"))
	if got := <-closed; got != "4001 so v1" || <-results != nil {
		t.Error(got)
	}
}

func TestALimitForMessagesNeedsTheHost(t *testing.T) {
	h, results := newHost(), make(chan error, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		results <- port.Upgrade(run, session.SocketOptions{MaxMessageBytes: 1}, session.SocketEvents{})
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if err := <-results; !errors.Is(err, session.ErrUnsupported) {
		t.Error(err)
	}
}

func TestTextThatIsNoUTF8IsNotSent(t *testing.T) {
	h, results := newHost(), make(chan error, 2)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		_ = port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{Open: func(port session.SocketPort) {
			results <- port.Send(false, []byte{0xff})
			results <- port.Broadcast("hall", false, []byte{0xff})
		}, Closed: func(session.SocketPort) {}})
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if method := <-h.came; method != socketUpgrade {
		t.Fatal(method)
	}
	h.library.Event(1, 0, socketOpened, nil)
	for range 2 {
		if err := <-results; err == nil {
			t.Error("it was sent")
		}
	}
	h.library.Event(1, 0, socketClosed, nil)
	h.library.Close(1)
	if len(h.came) > 0 {
		t.Errorf("method %d came", <-h.came)
	}
}

func TestHeadersOfAnUpgrade(t *testing.T) {
	h := newHost()
	h.open(t, 1, func(port session.Port, run *session.Run) {
		for _, op := range []wire.Operation{
			{Number: wire.OpSetResponseHeader, Name: "X-A", Value: "1"}, {Number: wire.OpSetResponseStatus, Status: 500},
			{Number: wire.OpSetResponseFullBody, Bytes: []byte("body")},
		} {
			if err := port.Apply(run, op); err != nil {
				t.Error(err)
			}
		}
		_ = port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{Closed: func(session.SocketPort) {}})
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	for _, want := range []uint32{wire.OpSetResponseHeader, socketUpgrade} {
		if method := <-h.came; method != want {
			t.Errorf("sent %d, want %d", method, want)
		}
	}
	h.library.Close(1)
}

func TestTheLastHeaderNamesTheSubProtocol(t *testing.T) {
	for name, c := range map[string]struct {
		offers []uint32
		method uint32 // that has it
		want   string
	}{
		"a host that takes it by itself": {[]uint32{upgradeWith}, upgradeWith, "\x00\x00\x00\x00chat"},
		"a host that takes headers":      {nil, wire.OpSetResponseHeader, string(appendHeader(nil, "sec-websocket-protocol", "chat"))},
	} {
		t.Run(name, func(t *testing.T) {
			h, upgraded := newHost(), make(chan string, 1)
			h.library.Extensions(c.offers)
			h.open(t, 1, func(port session.Port, run *session.Run) {
				for _, value := range []string{"mqtt", "chat"} {
					_ = port.Apply(run, wire.Operation{Number: wire.OpSetResponseHeader, Name: "Sec-WebSocket-Protocol", Value: value})
				}
				open := func(port session.SocketPort) { upgraded <- port.Subprotocol() }
				_ = port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{Open: open, Closed: func(session.SocketPort) {}})
			})
			h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
			for method := range h.came {
				if method == upgradeWith || method == socketUpgrade {
					break
				}
			}
			if got := string(h.last[c.method]); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
			h.library.Event(1, 0, socketOpened, nil)
			if got := <-upgraded; got != "chat" {
				t.Error(got)
			}
			h.library.Close(1)
		})
	}
}

// TestMessagesKeepTheirOrder: callbacks run one at a time, the last one when all is told.
func TestMessagesKeepTheirOrder(t *testing.T) {
	h, seen, closed := newHost(), "", make(chan struct{})
	upgraded := make(chan error, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		upgraded <- port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{
			Open:    func(session.SocketPort) { seen += "open" },
			Message: func(_ session.SocketPort, _ bool, data []byte) { seen += string(data) },
			Closed: func(port session.SocketPort) {
				if err := port.Broadcast("room", false, nil); err != nil {
					t.Error(err)
				}
				close(closed)
			},
		})
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if method := <-h.came; method != socketUpgrade {
		t.Fatal(method)
	}
	h.library.Event(1, 0, socketOpened, nil)
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	want := "open"
	for n := range byte(100) {
		h.library.Event(1, 0, socketGotText, []byte{'a' + n%26})
		want += string('a' + rune(n%26))
	}
	h.library.Close(1) // without a close event
	<-closed
	if seen != want || <-h.came != roomText {
		t.Errorf("%q", seen)
	}
}

// TestAClientThatIsTooFastIsClosed: what waits for the callbacks is bounded.
func TestAClientThatIsTooFastIsClosed(t *testing.T) {
	h, first, free, text := newHost(), make(chan struct{}), make(chan struct{}), make(chan string, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		if err := port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{
			Open:    func(session.SocketPort) { close(first); <-free },
			Message: func(session.SocketPort, bool, []byte) {},
			Failed:  func(_ session.SocketPort, what string) { text <- what },
			Closed:  func(session.SocketPort) {},
		}); err != nil {
			t.Error(err)
		}
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	<-h.came
	h.library.Event(1, 0, socketOpened, nil)
	<-first
	for range waitingLimit>>20 + 1 {
		h.library.Event(1, 0, socketGotBinary, make([]byte, 1<<20))
	}
	if method := <-h.came; method != socketClose {
		t.Error(method)
	}
	close(free)
	if <-text == "" {
		t.Error("no error")
	}
}

// oneHeader is a list of one header as a host writes it.
func oneHeader(name, value string) []byte {
	u32 := binary.LittleEndian.AppendUint32
	list := u32(nil, 12)
	list = append(list, 0, 0, 6, 0, 8, 0, 4, 0)
	list = u32(u32(u32(u32(list, 6), 4), 1), 12)
	list = append(list, 8, 0, 12, 0, 4, 0, 8, 0)
	list = u32(u32(u32(list, 8), 8), uint32(8+(len(name)+4)&^3))
	for _, text := range []string{name, value} {
		list = append(u32(list, uint32(len(text))), text...)
		list = append(list, make([]byte, 4-len(text)%4)...)
	}
	return list
}

// TestOnCloseGoesBeforeLogging: the host begins logging when it has told of the close, whether or not that was heard.
func TestOnCloseGoesBeforeLogging(t *testing.T) {
	h, heard, free, logged := newHost(), "", make(chan struct{}), make(chan struct{})
	h.open(t, 1, func(port session.Port, run *session.Run) {
		if run.Phase == wire.Logging {
			heard += "logging"
			_ = port.Finish(run, wire.Next)
			close(logged)
			return
		}
		if err := port.Upgrade(run, session.SocketOptions{}, session.SocketEvents{
			Open: func(session.SocketPort) { <-free },
			Closed: func(session.SocketPort) {
				if port.Context().Err() != nil {
					t.Error("the session is over before its last word")
				}
				heard += "closed "
			},
		}); err != nil {
			t.Error(err)
		}
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	<-h.came
	h.library.Event(1, 0, socketOpened, nil)
	h.library.Event(1, 0, socketClosed, nil)
	if h.library.RunPhase(0, 1, uint8(wire.Logging)) {
		t.Error("it has waited on a thread of the host")
	}
	close(free)
	<-logged
	if heard != "closed logging" {
		t.Errorf("%q", heard)
	}
	h.library.Close(1)
}
