package natsworker

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// talk is what the callbacks of a WebSocket have heard.
type talk struct {
	mu      sync.Mutex
	heard   []string
	verdict chan error
	options session.SocketOptions
	message func(port session.SocketPort, text string)
	last    func(port session.SocketPort)
}

func (k *talk) note(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heard = append(k.heard, what)
}

func (k *talk) all() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprint(k.heard)
}

func (k *talk) open(port session.Port) (session.Handler, *session.Failure) {
	return handler{wire.RequestFilter.Bit(), func(r *session.Run) {
		_ = port.Apply(r, wire.Operation{Number: wire.OpSetResponseHeader, Name: "X-A", Value: "1"})
		for _, value := range []string{"mqtt", "chat"} { // the last one counts
			_ = port.Apply(r, wire.Operation{Number: wire.OpSetResponseHeader, Name: "Sec-WebSocket-Protocol", Value: value})
		}
		err := port.Upgrade(r, k.options, session.SocketEvents{
			Open: func(session.SocketPort) { k.note("open") },
			Message: func(port session.SocketPort, binary bool, data []byte) {
				text := fmt.Sprintf("%v:%s", binary, data)
				if len(data) > 100 {
					text = fmt.Sprintf("%v:%d", binary, len(data))
				}
				k.note(text)
				if k.message != nil {
					k.message(port, string(data))
				}
			},
			Failed: func(_ session.SocketPort, text string) { k.note("failed " + text) },
			Closed: func(port session.SocketPort) {
				if k.last != nil {
					k.last(port)
				}
				k.note("closed")
			},
		})
		if err != nil {
			_ = port.Finish(r, wire.End)
		}
		k.verdict <- err
	}}, nil
}

// upgraded is a gateway with an open WebSocket of connection 9; its next frame has number 2.
func upgraded(t *testing.T, change func(*Options), k *talk) (*gateway, *wire.Open) {
	t.Helper()
	k.verdict = make(chan error, 1)
	g := stage(t, change, k.open)
	open := g.open()
	g.queue(open)
	frame := next[*wire.Upgrade](g)
	if frame.Seq != 0 || frame.First == nil || len(frame.Ops) != 1 || frame.Subprotocol == nil || *frame.Subprotocol != "chat" ||
		k.options.MaxMessageBytes == 0 && frame.MaxMessageBytes != 1<<20 {
		t.Fatalf("%+v", frame)
	}
	g.direct(&wire.WsOpen{Head: with(open, 1), ConnectionID: 9})
	if err := <-k.verdict; err != nil {
		t.Fatal(err)
	}
	return g, open
}

func (g *gateway) says(open *wire.Open, seq uint32, text string, more bool) {
	g.t.Helper()
	g.direct(&wire.Data{Head: with(open, seq), ID: 9, Bytes: []byte(text), More: more, Kind: wire.DataText})
}

func (k *talk) is(g *gateway, want string) {
	g.t.Helper()
	g.eventually("heard "+want, func(*Worker) bool { return k.all() == want })
}

func TestAWebSocketTalksAndItsPhaseEndsWithIt(t *testing.T) {
	k := &talk{message: func(port session.SocketPort, text string) {
		if err := port.Send(text == "b", []byte("re "+text)); err != nil {
			t.Error(err)
		}
	}}
	k.last = func(port session.SocketPort) {
		if err := port.Send(false, nil); !errors.Is(err, session.ErrClosed) {
			t.Error(err)
		}
		if err := errors.Join(port.Close(1000, ""), port.Leave("r")); err != nil {
			t.Error(err)
		}
	}
	g, open := upgraded(t, nil, k)
	g.says(open, 2, "a", false)
	g.says(open, 3, "", true)
	g.says(open, 4, "b", false)
	for i, kind := range []wire.DataKind{wire.DataText, wire.DataBinary} {
		if data := next[*wire.Data](g); data.ID != 9 || data.More || data.Kind != kind || int(data.Seq) != 1+i {
			t.Errorf("%+v", data)
		}
	}
	g.direct(&wire.WsError{Head: with(open, 5), Text: "lost"}, &wire.WsClosed{Head: with(open, 6), Code: 1006})
	if leave := next[*wire.WsOp](g); leave.Operation.Number != wire.WsLeaveRoom {
		t.Errorf("%+v", leave)
	}
	if result := next[*wire.Result](g); result.Action != wire.End || len(result.Ops) != 0 {
		t.Errorf("%+v", result)
	}
	k.is(g, "[open false:a false:b failed lost closed]")
}

func TestARefusedUpgradeLeavesTheAnswerToTheHandler(t *testing.T) {
	k := &talk{verdict: make(chan error, 1)}
	g := stage(t, nil, k.open)
	open := g.open()
	g.queue(open)
	next[*wire.Upgrade](g)
	g.direct(&wire.Error{Head: with(open, 1), Code: wire.FailNotWebSocket, Text: "no key"})
	if err := <-k.verdict; !errors.Is(err, session.ErrNotWebSocket) {
		t.Error(err)
	}
	if result := next[*wire.Result](g); len(result.Ops) != 3 || k.all() != "[]" {
		t.Errorf("%+v %s", result, k.all())
	}
}

func TestAMessageWaitsForCreditAndGivesItBack(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 3*wire.InitialCredit/2)
	sent := make(chan error, 1)
	k := &talk{message: func(port session.SocketPort, _ string) { sent <- port.Send(true, long) }}
	g, open := upgraded(t, nil, k)
	g.says(open, 2, string(long[:wire.InitialCredit]), true)
	if credit := next[*wire.Credit](g); credit.ID != 9 || credit.Bytes < wire.InitialCredit {
		t.Errorf("%+v", credit)
	}
	g.says(open, 3, string(long[wire.InitialCredit:]), false)
	got := 0
	for got < wire.InitialCredit {
		switch f := (<-g.frames).(type) {
		case *wire.Data:
			if got += len(f.Bytes); !f.More {
				t.Errorf("%d of %d", got, len(long))
			}
		case *wire.Credit:
		default:
			t.Fatalf("%T", f)
		}
	}
	select {
	case err := <-sent:
		t.Fatalf("sent without credit: %v", err)
	default:
	}
	g.direct(&wire.Credit{Head: with(open, 4), ID: 9, Bytes: wire.InitialCredit})
	if data := next[*wire.Data](g); data.More || got+len(data.Bytes) != len(long) {
		t.Errorf("%d %+v", got, data.More)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	g.direct(&wire.WsClosed{Head: with(open, 5), Code: 1000})
	next[*wire.Result](g)
}

func TestRooms(t *testing.T) {
	answers := make(chan error, 8)
	k := &talk{message: func(port session.SocketPort, _ string) {
		answers <- port.Join("")
		answers <- port.Join("r")
		answers <- port.Broadcast("r", true, []byte("all"))
		answers <- port.Broadcast("r", true, make([]byte, wire.MaxChunk))
		answers <- port.Leave("r")
	}}
	k.last = func(port session.SocketPort) {
		if port.Join("r") == nil {
			t.Error("joined behind the close")
		}
		answers <- port.Broadcast("r", false, []byte("bye"))
	}
	g, open := upgraded(t, nil, k)
	g.says(open, 2, "go", false)
	join := next[*wire.WsOp](g)
	if join.Operation.Number != wire.WsJoinRoom || join.Operation.Room != "r" || <-answers == nil {
		t.Errorf("%+v", join)
	}
	g.direct(&wire.Data{Head: with(open, 3), ID: join.CallID})
	told := next[*wire.WsOp](g)
	if err := <-answers; err != nil || told.Operation.Number != wire.WsBroadcastBinary || string(told.Operation.Message) != "all" {
		t.Errorf("%v %+v", err, told)
	}
	call := wire.Optional{Set: true, N: uint64(told.CallID)}
	g.direct(&wire.Error{Head: with(open, 4), Code: wire.FailHandler, Text: "no nats", CallID: call})
	if leave := next[*wire.WsOp](g); leave.Operation.Number != wire.WsLeaveRoom {
		t.Errorf("%+v", leave)
	}
	for _, fails := range []bool{true, true, false} {
		if err := <-answers; (err != nil) != fails {
			t.Error(err)
		}
	}
	g.direct(&wire.WsClosed{Head: with(open, 5), Code: 1000})
	bye := next[*wire.WsOp](g)
	g.direct(&wire.Data{Head: with(open, 6), ID: bye.CallID})
	if err := <-answers; err != nil {
		t.Error(err)
	}
	next[*wire.Result](g)
}

func TestAJoinThatTheCloseHasOvertaken(t *testing.T) {
	answers := make(chan error, 2)
	k := &talk{message: func(port session.SocketPort, _ string) {
		answers <- port.Join("r")
		answers <- port.Broadcast("r", false, []byte("left"))
	}}
	g, open := upgraded(t, nil, k)
	g.says(open, 2, "go", false)
	join := next[*wire.WsOp](g)
	refused := func(sequence uint32, call uint32, text string) error {
		id := wire.Optional{Set: true, N: uint64(call)}
		g.direct(&wire.Error{Head: with(open, sequence), Code: wire.FailNotFound, Text: text, CallID: id})
		return <-answers
	}
	g.direct(&wire.WsClosed{Head: with(open, 3), Code: 1006})
	if err := refused(4, join.CallID, "the websocket is closed"); !errors.Is(err, session.ErrClosed) {
		t.Error(err)
	}
	// A room that cannot be spoken to is no body that there is not.
	if err := refused(5, next[*wire.WsOp](g).CallID, "no nats"); err == nil || errors.Is(err, session.ErrNoBody) || errors.Is(err, session.ErrClosed) {
		t.Error(err)
	}
	next[*wire.Result](g)
}

func TestWhatTheHandlerWantsOfAWebSocket(t *testing.T) {
	k := &talk{options: session.SocketOptions{Subprotocols: []string{"v3", "v2", "v1"}, MaxMessageBytes: 10}, verdict: make(chan error, 1)}
	closed := make(chan string, 1)
	k.last = func(port session.SocketPort) {
		code, reason := port.Closed()
		closed <- fmt.Sprintf("%d %s %s", code, reason, port.Subprotocol())
	}
	g := stage(t, nil, k.open)
	open := g.open()
	open.Snapshot.Headers = append(open.Snapshot.Headers, wire.Header{Name: "sec-websocket-protocol", Value: "v0, v1 ,v2"})
	g.queue(open)
	if frame := next[*wire.Upgrade](g); frame.MaxMessageBytes != 10 || frame.Subprotocol == nil || *frame.Subprotocol != "v2" {
		t.Errorf("%+v", frame)
	}
	g.direct(&wire.WsOpen{Head: with(open, 1), ConnectionID: 9})
	g.says(open, 2, "0123456789", false)
	g.direct(&wire.WsClosed{Head: with(open, 3), Code: 4002, Reason: "bye"})
	next[*wire.Result](g)
	if got := <-closed; got != "4002 bye v2" {
		t.Error(got)
	}
	k.is(g, "[open false:0123456789 closed]")
}

func TestWhatIsNoMessageEndsTheSession(t *testing.T) {
	for name, data := range map[string]*wire.Data{
		"another kind": {ID: 9, Bytes: []byte("x"), Kind: wire.DataStream},
		"another id":   {ID: 8, Bytes: []byte("x"), Kind: wire.DataText},
		"too long":     {ID: 9, Bytes: []byte("12345"), Kind: wire.DataText},
	} {
		t.Run(name, func(t *testing.T) {
			g, open := upgraded(t, nil, &talk{options: session.SocketOptions{MaxMessageBytes: 4}})
			data.Head = with(open, 2)
			g.direct(data)
			if abort := next[*wire.Abort](g); abort.Reason != wire.AbortProtocol {
				t.Errorf("%+v", abort)
			}
		})
	}
}

func TestAProbeShowsAGapInAWebSocket(t *testing.T) {
	k := &talk{}
	g, open := upgraded(t, nil, k)
	g.direct(&wire.Probe{Head: with(open, 5)})
	if abort := next[*wire.Abort](g); abort.Reason != wire.AbortGap {
		t.Errorf("%+v", abort)
	}
	k.is(g, "[open failed the session is over closed]")
}

func TestAWebSocketOutlivesItsDeadline(t *testing.T) {
	k := &talk{verdict: make(chan error, 1)}
	g := stage(t, nil, k.open)
	open := g.open()
	open.RemainingMs = 300
	g.queue(open)
	next[*wire.Upgrade](g)
	g.direct(&wire.WsOpen{Head: with(open, 1), ConnectionID: 9})
	k.is(g, "[open]")
	before := time.Now()
	next[*wire.Probe](g) // a second later
	if time.Since(before) < 300*time.Millisecond {
		t.Error("probed too early to show anything")
	}
	g.direct(&wire.WsClosed{Head: with(open, 2), Code: 1000})
	next[*wire.Result](g)
}
