package natsworker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func TestAnOpenIsAnsweredByOneFrame(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next, wire.Operation{Number: wire.OpSetRequestHeader, Name: "X-User", Value: "alice"}))
	for _, send := range []func(*wire.Open){g.queue, func(open *wire.Open) { g.direct(open) }} {
		open := g.open()
		send(open)
		result := next[*wire.Result](g)
		if result.Session != open.Session || result.Generation != 3 || result.Seq != 0 || len(result.Ops) != 1 || result.Action != wire.Next {
			t.Errorf("%+v", result)
		}
		first := result.First
		if first == nil || first.Worker != g.worker.ID() || first.Mask != 1 || first.Credit != 32<<10 || result.Timing == nil {
			t.Errorf("%+v %+v", first, result.Timing)
		}
		g.nothing()
	}
	g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 && w.active == 0 })
}

func TestPhasesOfASession(t *testing.T) {
	var phases []wire.Phase
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{wire.AllPhases, func(run *session.Run) {
			phases = append(phases, run.Phase) // never two at once: the race detector looks on
			_ = port.Finish(run, wire.Next)
		}}, nil
	})
	open := g.open()
	g.queue(open)
	if first := next[*wire.Result](g).First; first.Mask != wire.AllPhases {
		t.Fatalf("%+v", first)
	}
	for i, phase := range []wire.Phase{wire.ResponseFilter, wire.ResponseBodyFilter} {
		g.direct(later(open, uint32(i+1), uint32(i+1), phase))
		result := next[*wire.Result](g)
		if result.Seq != uint32(i+1) || result.PhaseSeq != uint32(i+1) || result.First != nil {
			t.Errorf("%+v", result)
		}
	}
	g.direct(later(open, 3, 3, wire.Logging))
	g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 })
	g.nothing() // logging is not answered
	if fmt.Sprint(phases) != "[1 2 3 4]" {
		t.Error(phases)
	}
}

func TestAPhaseThatIsNotRegisteredGoesOn(t *testing.T) {
	g := stage(t, nil, finishing(wire.Logging.Bit(), wire.End))
	g.queue(g.open())
	if result := next[*wire.Result](g); result.Action != wire.Next || result.First.Mask != 8 {
		t.Errorf("%+v", result)
	}
}

// SPEC 9.6.
func TestAgainKeepsASessionForOneMoreRun(t *testing.T) {
	runs := 0
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{wire.RequestFilter.Bit(), func(run *session.Run) {
			runs++
			_ = port.Finish(run, wire.Next)
		}}, nil
	})
	open := g.open()
	open.Ext = wire.Again
	g.queue(open)
	next[*wire.Result](g)
	g.direct(later(open, 1, 1, wire.RequestFilter))
	if result := next[*wire.Result](g); result.PhaseSeq != 1 || runs != 2 {
		t.Errorf("%+v after %d runs", result, runs)
	}
	g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 && w.active == 0 })
}

func TestManyOpensInBatches(t *testing.T) {
	g := stage(t, func(o *Options) { o.WaitLimit = time.Minute }, finishing(1, wire.Next))
	const waves, each = 40, 50
	for range waves {
		want := map[wire.SessionID]bool{}
		var opens []wire.Frame
		for range each {
			open := g.open()
			want[open.Session] = true
			opens = append(opens, open)
		}
		g.direct(opens...)
		for range each {
			result := next[*wire.Result](g)
			if !want[result.Session] {
				t.Fatal("a result twice, or for nobody")
			}
			delete(want, result.Session)
		}
	}
}

func TestAFrameInABatchThatIsRefusedHarmsNoOther(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	good, bad := g.open(), g.open()
	spoiled := wire.Append(nil, bad)
	spoiled = append(spoiled[:len(spoiled)-1], 0xc1)
	batch := &wire.Batch{Frames: []string{"", string(spoiled), string(wire.Append(nil, &wire.Batch{Frames: []string{"x"}})), string(wire.Append(nil, good))}}
	g.send(g.worker.subject, batch)
	if abort := next[*wire.Abort](g); abort.Session != bad.Session || abort.Reason != wire.AbortProtocol || abort.Seq != 0 {
		t.Errorf("%+v", abort)
	}
	if result := next[*wire.Result](g); result.Session != good.Session {
		t.Errorf("%+v", result)
	}
}

func TestAcceptAfter50Ms(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	g := stage(t, nil, h.open)
	began := time.Now()
	g.queue(g.open())
	accept := next[*wire.Accept](g)
	if waited := time.Since(began); waited < 50*time.Millisecond {
		t.Errorf("ACCEPT after %s", waited)
	}
	if accept.First == nil || accept.First.Mask != 1 {
		t.Errorf("%+v", accept.First)
	}
	close(h.free)
	if result := next[*wire.Result](g); result.Seq != 1 || result.First != nil {
		t.Errorf("%+v", result)
	}
}

func TestAFullWorkerIsBusy(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	g := stage(t, func(o *Options) { o.MaxSessions = 2 }, h.open)
	g.direct(g.open(), g.open())
	g.eventually("both run", func(*Worker) bool { return h.running() == 2 })
	third := g.open()
	g.direct(third)
	for {
		select {
		case frame := <-g.frames:
			if _, ok := frame.(*wire.Accept); ok {
				continue
			}
			busy, ok := frame.(*wire.Busy)
			if !ok || busy.Session != third.Session || busy.Reason != wire.BusyFull || busy.Worker != g.worker.ID() {
				t.Fatalf("%T %+v", frame, frame)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("nothing")
		}
		break
	}
	close(h.free)
}

func TestAbortCancelsTheContext(t *testing.T) {
	for reason, want := range map[wire.AbortReason]error{
		wire.AbortClientGone: session.ErrClientGone, wire.AbortTimeout: session.ErrPhaseTimeout, wire.AbortGatewayShutdown: session.ErrClosed,
	} {
		h := &holding{free: make(chan struct{})}
		g := stage(t, nil, h.open)
		open := g.open()
		g.direct(open)
		g.eventually("it runs", func(*Worker) bool { return h.running() == 1 })
		head := open.Head
		head.Seq = 0 // has no place in the order
		g.direct(&wire.Abort{Head: head, Reason: reason})
		g.eventually("it is cancelled", func(*Worker) bool { return errors.Is(h.cause(), want) })
		g.eventually("nothing is left", func(w *Worker) bool { return len(w.live) == 0 && w.load() == 0 })
	}
}

func TestTheDeadlineCancels(t *testing.T) {
	h := &holding{free: make(chan struct{})}
	g := stage(t, nil, h.open)
	open := g.open()
	open.RemainingMs = 30
	g.direct(open)
	g.eventually("it is cancelled", func(*Worker) bool { return errors.Is(h.cause(), session.ErrPhaseTimeout) })
}

func TestAGapEndsTheSession(t *testing.T) {
	g := stage(t, nil, finishing(wire.AllPhases, wire.Next))
	for _, seq := range []uint32{0, 2} {
		open := g.open()
		g.queue(open)
		next[*wire.Result](g)
		g.direct(later(open, seq, 1, wire.ResponseFilter))
		if abort := next[*wire.Abort](g); abort.Reason != wire.AbortGap || abort.Session != open.Session {
			t.Errorf("%+v", abort)
		}
		g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 })
	}
}

func TestStrangersAreToldAndOthersDropped(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	open := g.open()
	g.direct(later(open, 1, 1, wire.ResponseFilter))
	if abort := next[*wire.Abort](g); abort.Reason != wire.AbortStale || abort.Session != open.Session {
		t.Errorf("%+v", abort)
	}
	g.direct(&wire.Close{Head: open.Head}, &wire.Credit{Head: open.Head, ID: 1, Bytes: 1}, &wire.Data{Head: open.Head})
	g.nothing()
}

func TestAnUnknownEntryAndAnotherVersion(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	open := g.open()
	open.Entry = "other"
	g.direct(open)
	failure := next[*wire.Error](g)
	if failure.Code != wire.FailUnknownEntry || failure.CallID.Set || failure.First == nil || failure.First.Worker != g.worker.ID() {
		t.Errorf("%+v", failure)
	}
	open = g.open()
	open.V = 2
	g.direct(open)
	if abort := next[*wire.Abort](g); abort.Reason != wire.AbortProtocol {
		t.Errorf("%+v", abort)
	}
}

// TestAGenerationMeansNothingToAWorker: it finds a session by its id and says what the open said (SPEC 3.2).
func TestAGenerationMeansNothingToAWorker(t *testing.T) {
	g := stage(t, nil, finishing(wire.AllPhases, wire.Next))
	open := g.open()
	g.direct(open)
	next[*wire.Result](g)
	phase := later(open, 1, 2, wire.ResponseFilter)
	phase.Generation++
	g.direct(phase)
	if result := next[*wire.Result](g); result.PhaseSeq != 2 || result.Generation != open.Generation {
		t.Errorf("%+v", result)
	}
}

// TestAFrameOfALaterVersionIsRefused: whatever its type, its session's other side waits.
func TestAFrameOfALaterVersionIsRefused(t *testing.T) {
	for _, kind := range []byte{99, 0xcd} { // a small number, and one of three bytes
		g := stage(t, nil, finishing(wire.AllPhases, wire.Next))
		open := g.open()
		g.direct(open)
		next[*wire.Result](g)
		frame := string(wire.Append(nil, &wire.Close{Head: wire.Head{Session: open.Session, Generation: 3, Seq: 1, PhaseSeq: 2}}))
		number := string([]byte{kind})
		if kind == 0xcd {
			number += "\x12\x34"
		}
		if err := g.conn.PublishRequest(g.worker.subject, g.subject+".7", []byte(frame[:1]+number+frame[2:])); err != nil {
			t.Fatal(err)
		}
		if abort := next[*wire.Abort](g); abort.Reason != wire.AbortProtocol || abort.Session != open.Session {
			t.Errorf("%+v", abort)
		}
	}
}

func TestNothingIsPublishedOutsideGatewaySubjects(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	for _, reply := range []string{"other.subject", "nylon.v1.w.g.w", "nylon.v1.h.a b", "nylon.v1.h.*", ""} {
		open := g.open()
		open.Reply = reply
		g.direct(open)
	}
	g.nothing()
	g.eventually("all are counted", func(w *Worker) bool { return w.counts.Protocol == 5 })
}

func TestOldOpensAreDropped(t *testing.T) {
	g := stage(t, nil, finishing(1, wire.Next))
	g.direct(g.open()) // sets the measure
	next[*wire.Result](g)
	old := g.open()
	old.MonoMs -= min(old.MonoMs, 6000)
	for time.Since(started) < 200*time.Millisecond {
		time.Sleep(10 * time.Millisecond) // sleep: the clocks of this test begin with the process
	}
	old.MonoMs, old.RemainingMs = uint64(time.Since(started).Milliseconds())-150, 100
	g.direct(old)
	g.nothing()
	g.eventually("it is counted", func(w *Worker) bool { return w.counts.Expired == 1 })
}

func TestAFailedHandlerIsAnError(t *testing.T) {
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{1, func(run *session.Run) {
			_ = port.Fail(run, session.Failure{Code: wire.FailHandler, Text: "no", LogID: "abc"})
			if err := port.Finish(run, wire.Next); err == nil {
				t.Error("a second end was taken")
			}
		}}, nil
	})
	g.queue(g.open())
	failure := next[*wire.Error](g)
	if failure.Code != wire.FailHandler || failure.Text != "no" || *failure.LogID != "abc" || failure.First == nil {
		t.Errorf("%+v", failure)
	}
	g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 && w.load() == 0 })
}

func TestALargeBodyGoesAheadWithinCredit(t *testing.T) {
	body := make([]byte, 200_000)
	for i := range body {
		body[i] = byte(i)
	}
	g := stage(t, nil, finishing(1, wire.End, wire.Operation{Number: wire.OpSetResponseFullBody, Bytes: body}))
	open := g.open()
	g.queue(open)
	next[*wire.Accept](g)
	var got []byte
	credit, seq, more := uint64(open.Credit), uint32(1), true
	for more {
		data := next[*wire.Data](g)
		if cost(len(data.Bytes)) > credit || data.Seq != seq {
			t.Fatalf("%d bytes at seq %d with %d of credit", len(data.Bytes), data.Seq, credit)
		}
		credit, seq, got, more = credit-cost(len(data.Bytes)), data.Seq+1, append(got, data.Bytes...), data.More
		if credit < 256 && more {
			head := open.Head
			head.Seq = uint32(len(got) / (32 << 10)) // one grant for each window
			g.direct(&wire.Credit{Head: head, ID: data.ID, Bytes: 32 << 10})
			credit += 32 << 10
		}
	}
	result := next[*wire.Result](g)
	if op := result.Ops[0]; op.Bytes != nil || op.Total != 200_000 || string(got) != string(body) {
		t.Errorf("%+v", op)
	}
}

func TestFetchingABody(t *testing.T) {
	bodies := make(chan string, 2)
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{1, func(run *session.Run) {
			for range 2 { // the second one is answered from memory
				body, err := port.Fetch(context.Background(), run, wire.FetchRequestBody, 0)
				bodies <- fmt.Sprint(len(body), err)
			}
			_ = port.Finish(run, wire.Next)
		}}, nil
	})
	open := g.open()
	g.queue(open)
	fetch := next[*wire.Fetch](g)
	if fetch.What != wire.FetchRequestBody || fetch.MaxBytes != 10<<20 || fetch.First == nil {
		t.Fatalf("%+v", fetch)
	}
	sent, seq := 0, uint32(1)
	credit := uint64(fetch.First.Credit)
	for sent < 300_000 {
		for credit < 20_000 {
			credit += uint64(next[*wire.Credit](g).Bytes)
		}
		head := open.Head
		head.Seq = seq
		g.direct(&wire.Data{Head: head, ID: fetch.CallID, Bytes: make([]byte, 20_000), More: sent < 280_000})
		sent, seq, credit = sent+20_000, seq+1, credit-20_000
	}
	for range 2 {
		if got := <-bodies; got != "300000 <nil>" {
			t.Error(got)
		}
	}
}

func TestDataBeyondItsCreditEndsTheSession(t *testing.T) {
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{1, func(run *session.Run) {
			if _, err := port.Fetch(context.Background(), run, wire.FetchRequestBody, 0); err == nil {
				t.Error("a body came")
			}
			_ = port.Finish(run, wire.Next)
		}}, nil
	})
	open := g.open()
	g.queue(open)
	fetch := next[*wire.Fetch](g)
	head := open.Head
	head.Seq = 1
	g.direct(&wire.Data{Head: head, ID: fetch.CallID, Bytes: make([]byte, 40_000), More: true})
	if abort := next[*wire.Abort](g); abort.Reason != wire.AbortProtocol {
		t.Errorf("%+v", abort)
	}
}
