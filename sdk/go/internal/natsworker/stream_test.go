package natsworker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// streaming is a handler whose request filter has a stream.
func streaming(t *testing.T, run func(port session.Port, run *session.Run, stream session.StreamPort)) session.Open {
	return func(port session.Port) (session.Handler, *session.Failure) {
		return handler{wire.RequestFilter.Bit() | wire.Logging.Bit(), func(r *session.Run) {
			if r.Phase == wire.Logging {
				_ = port.Finish(r, wire.Next)
				return
			}
			_ = port.Apply(r, wire.Operation{Number: wire.OpSetResponseStatus, Status: 203})
			_ = port.Apply(r, wire.Operation{Number: wire.OpSetResponseFullBody, Bytes: []byte("dropped")})
			stream, err := port.OpenStream(r)
			if err != nil {
				t.Error(err)
				return
			}
			run(port, r, stream)
		}}, nil
	}
}

// begin opens a session whose handler streams, and takes its STREAM.
func (g *gateway) begin() (*wire.Open, *wire.Stream) {
	g.t.Helper()
	open := g.open()
	g.queue(open)
	return open, next[*wire.Stream](g)
}

// with is the head of the gateway's frame of this number.
func with(open *wire.Open, seq uint32) wire.Head {
	head := open.Head
	head.Seq = seq
	return head
}

func TestAStreamTakesThePlaceOfAResult(t *testing.T) {
	g := stage(t, nil, streaming(t, func(_ session.Port, _ *session.Run, stream session.StreamPort) {
		buffer := []byte("one")
		for range 2 {
			if n, err := stream.Write(buffer); n != 3 || err != nil {
				t.Error(n, err)
			}
			copy(buffer, "two") // the stream keeps nothing of it
		}
		if err := errors.Join(stream.End(), stream.End()); err != nil {
			t.Error(err)
		}
		if n, err := stream.Write(buffer); n != 0 || !errors.Is(err, session.ErrClosed) {
			t.Error(n, err)
		}
		stream.Cut() // too late
	}))
	open, head := g.begin()
	if head.Seq != 0 || head.First == nil || head.First.Mask != 9 || len(head.Ops) != 1 || head.Ops[0].Status != 203 {
		t.Errorf("%+v %+v", head, head.First)
	}
	for i, text := range []string{"one", "two"} {
		data := next[*wire.Data](g)
		if data.ID != head.StreamID || string(data.Bytes) != text || !data.More || data.Kind != wire.DataStream || data.Seq != uint32(i+1) {
			t.Errorf("%+v", data)
		}
	}
	if end := next[*wire.StreamEnd](g); end.Outcome != wire.OutcomeOk || end.Seq != 3 {
		t.Errorf("%+v", end)
	}
	g.direct(later(open, 1, 1, wire.Logging)) // the session goes on
	g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 && w.load() == 0 && w.counts.Phases == 1 })
	g.nothing()
}

func TestAStreamStaysWithinItsCredit(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 30_000)
	wrote := make(chan int, 1)
	g := stage(t, nil, streaming(t, func(_ session.Port, _ *session.Run, stream session.StreamPort) {
		n, err := stream.Write(body)
		if err != nil {
			t.Error(err)
		}
		wrote <- n
		_ = stream.End()
	}))
	open, head := g.begin()
	credit, seq := uint64(open.Credit), uint32(1)
	var got []byte
	for len(got) < len(body) {
		data := next[*wire.Data](g)
		if cost(len(data.Bytes)) > credit {
			t.Fatalf("%d bytes with %d of credit", len(data.Bytes), credit)
		}
		credit -= cost(len(data.Bytes))
		got = append(got, data.Bytes...)
		if credit < wire.MessageMinCost && len(got) < len(body) {
			g.nothing() // and it waits
			select {
			case <-wrote:
				t.Fatal("Write returned before its bytes were covered")
			default:
			}
			g.direct(&wire.Credit{Head: with(open, seq), ID: head.StreamID, Bytes: 20_000})
			credit, seq = credit+20_000, seq+1
		}
	}
	if n := <-wrote; n != len(body) || !bytes.Equal(got, body) {
		t.Error(n, len(got))
	}
	next[*wire.StreamEnd](g)
}

func TestAStreamThatIsNotEndedIsCut(t *testing.T) {
	for what, leave := range map[string]func(session.Port, *session.Run, session.StreamPort){
		"Next": func(port session.Port, run *session.Run, _ session.StreamPort) { _ = port.Finish(run, wire.Next) },
		"a panic": func(port session.Port, run *session.Run, stream session.StreamPort) {
			_ = port.Fail(run, session.Failure{Code: wire.FailHandler, Text: "no"})
			if err := stream.End(); err == nil {
				t.Error("a cut stream ended well")
			}
		},
		"nobody": func(session.Port, *session.Run, session.StreamPort) {
			go func() {
				for range 100 {
					runtime.GC()
					time.Sleep(time.Millisecond) // sleep: until nothing refers to the stream
				}
			}()
		},
	} {
		t.Run(what, func(t *testing.T) {
			g := stage(t, nil, streaming(t, leave))
			open, _ := g.begin()
			if end := next[*wire.StreamEnd](g); end.Outcome != wire.OutcomeAbort {
				t.Errorf("%+v", end)
			}
			g.direct(later(open, 1, 1, wire.Logging)) // the session goes on
			g.eventually("no session is left", func(w *Worker) bool { return len(w.live) == 0 && w.load() == 0 })
			g.nothing()
		})
	}
}

func TestWhoWritesHearsWhyTheSessionEnded(t *testing.T) {
	type end struct {
		n   int
		err error
	}
	ends := make(chan end, 1)
	waits := streaming(t, func(_ session.Port, _ *session.Run, stream session.StreamPort) {
		n, err := stream.Write(make([]byte, 40_000)) // more than its credit
		ends <- end{n, err}
		if again := stream.End(); !errors.Is(again, err) {
			t.Error(again)
		}
	})
	for what, each := range map[string]struct {
		stop func(*gateway, *wire.Open)
		want error
	}{
		"client gone": {func(g *gateway, open *wire.Open) {
			g.direct(&wire.Abort{Head: with(open, 0), Reason: wire.AbortClientGone})
		}, session.ErrClientGone},
		"gap": {func(g *gateway, open *wire.Open) {
			g.direct(&wire.Credit{Head: with(open, 2), Bytes: 100})
			if abort := next[*wire.Abort](g); abort.Reason != wire.AbortGap {
				t.Errorf("%+v", abort)
			}
		}, session.ErrClosed},
		"a gap that only a probe shows": {func(g *gateway, open *wire.Open) {
			g.direct(&wire.Probe{Head: with(open, 2)})
			if abort := next[*wire.Abort](g); abort.Reason != wire.AbortGap {
				t.Errorf("%+v", abort)
			}
		}, session.ErrClosed},
		"the gateway is lost": {func(g *gateway, _ *wire.Open) {
			if err := g.sub.Unsubscribe(); err != nil {
				t.Fatal(err)
			}
		}, session.ErrClosed},
		"drain": {func(g *gateway, _ *wire.Open) {
			g.worker.Drain()
			if abort := next[*wire.Abort](g); abort.Reason != wire.AbortWorkerShutdown {
				t.Errorf("%+v", abort)
			}
		}, session.ErrShuttingDown},
	} {
		t.Run(what, func(t *testing.T) {
			g := stage(t, func(o *Options) { o.DrainTimeout = 300 * time.Millisecond }, waits)
			open, _ := g.begin()
			next[*wire.Data](g)
			g.direct(&wire.Probe{Head: with(open, 1)}) // the number that is due: nothing is missing
			g.nothing()
			each.stop(g, open)
			if got := <-ends; got.n != 32<<10 || !errors.Is(got.err, each.want) {
				t.Errorf("%d %v", got.n, got.err)
			}
			g.eventually("nothing is left", func(w *Worker) bool { return len(w.live) == 0 && w.load() == 0 })
		})
	}
}

func TestAStreamOutlivesItsDeadlineAndProbes(t *testing.T) {
	more := make(chan struct{})
	g := stage(t, nil, streaming(t, func(_ session.Port, _ *session.Run, stream session.StreamPort) {
		_, _ = stream.Write([]byte("one"))
		<-more
		_ = stream.End()
	}))
	open := g.open()
	open.RemainingMs = 100
	g.queue(open)
	next[*wire.Stream](g)
	next[*wire.Data](g)
	// The worker's question counts what it has numbered before (SPEC 14.6).
	probe := next[*wire.Probe](g)
	if probe.Seq != 2 || probe.Session != open.Session {
		t.Errorf("%+v", probe)
	}
	g.eventually("a stream's age says nothing", func(w *Worker) bool {
		running, waiting := w.oldest(time.Now())
		return running == 0 && waiting == 0 && w.load() == 1
	})
	close(more)
	if end := next[*wire.StreamEnd](g); end.Seq != 2 || end.Outcome != wire.OutcomeOk {
		t.Errorf("%+v", end)
	}
}

func TestOtherPhasesAndASecondStreamAreRefused(t *testing.T) {
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{wire.AllPhases, func(run *session.Run) {
			stream, err := port.OpenStream(run)
			if run.Phase != wire.RequestFilter {
				if err == nil {
					t.Error("a stream in phase", run.Phase)
				}
				_ = port.Finish(run, wire.Next)
				return
			}
			if _, err := port.OpenStream(run); err == nil {
				t.Error("a second stream")
			}
			_ = stream.End()
		}}, nil
	})
	open, _ := g.begin()
	next[*wire.StreamEnd](g)
	g.direct(later(open, 1, 1, wire.ResponseFilter))
	next[*wire.Result](g)
}

func TestABodyIsReadAsItComes(t *testing.T) {
	pieces := make(chan string, 16)
	allowed := make(chan struct{})
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{1, func(run *session.Run) {
			body := port.ReadStream(run, wire.FetchRequestStream)
			buffer := make([]byte, 6000)
			for {
				<-allowed
				n, err := body.Read(buffer)
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					break
				}
				pieces <- string(buffer[:n])
			}
			_ = port.Finish(run, wire.End)
		}}, nil
	})
	open := g.open()
	g.queue(open)
	allowed <- struct{}{}
	fetch := next[*wire.Fetch](g)
	if fetch.What != wire.FetchRequestStream || fetch.MaxBytes < 1<<52 || fetch.First == nil {
		t.Fatalf("%+v", fetch)
	}
	g.direct(&wire.Data{Head: with(open, 1), ID: fetch.CallID, Bytes: bytes.Repeat([]byte("a"), 10_000), More: true})
	if got := <-pieces; len(got) != 6000 {
		t.Errorf("%d bytes", len(got))
	}
	g.nothing() // half a piece is not paid for
	allowed <- struct{}{}
	if got := <-pieces; len(got) != 4000 {
		t.Errorf("%d bytes", len(got))
	}
	if credit := next[*wire.Credit](g); credit.ID != fetch.CallID || credit.Bytes != 10_000+32<<10 {
		t.Errorf("%+v", credit)
	}
	g.direct(&wire.Data{Head: with(open, 2), ID: fetch.CallID, Bytes: []byte("last")})
	allowed <- struct{}{}
	if got := <-pieces; got != "last" {
		t.Error(got)
	}
	allowed <- struct{}{}
	next[*wire.Result](g)
}

func TestABodyThatBreaksOffIsNoEnd(t *testing.T) {
	errs := make(chan error, 1)
	open := func(port session.Port) (session.Handler, *session.Failure) {
		return handler{1, func(run *session.Run) {
			_, err := io.Copy(io.Discard, port.ReadStream(run, wire.FetchRequestStream))
			errs <- err
			_ = port.Finish(run, wire.End)
		}}, nil
	}
	for what, each := range map[string]struct {
		frame func(*wire.Open, uint32) wire.Frame
		want  error
	}{
		"abort": {func(open *wire.Open, _ uint32) wire.Frame {
			return &wire.Abort{Head: with(open, 0), Reason: wire.AbortClientGone}
		}, session.ErrClientGone},
		"error": {func(open *wire.Open, call uint32) wire.Frame {
			return &wire.Error{Head: with(open, 2), CallID: wire.Some(uint64(call)), Code: wire.FailBodyTooLarge}
		}, session.ErrBodyTooLarge},
		"taken": {func(open *wire.Open, call uint32) wire.Frame {
			return &wire.Error{Head: with(open, 2), CallID: wire.Some(uint64(call)), Code: wire.FailNotFound}
		}, session.ErrNoBody},
	} {
		t.Run(what, func(t *testing.T) {
			g := stage(t, nil, open)
			open := g.open()
			g.queue(open)
			fetch := next[*wire.Fetch](g)
			g.direct(&wire.Data{Head: with(open, 1), ID: fetch.CallID, Bytes: []byte("half"), More: true})
			g.direct(each.frame(open, fetch.CallID))
			if err := <-errs; !errors.Is(err, each.want) {
				t.Error(err)
			}
		})
	}
}

func TestWhatAPhaseLeftUnreadIsPaidForLater(t *testing.T) {
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return handler{wire.AllPhases, func(run *session.Run) {
			if run.Phase == wire.RequestFilter {
				body := port.ReadStream(run, wire.FetchRequestStream)
				if _, err := body.Read(make([]byte, 10)); err != nil {
					t.Error(err)
				}
				_ = port.Finish(run, wire.End)
				if _, err := body.Read(make([]byte, 10)); !errors.Is(err, session.ErrClosed) {
					t.Error(err)
				}
				return
			}
			if _, err := port.Fetch(context.Background(), run, wire.FetchResponseBody, 0); err != nil {
				t.Error(err)
			}
			_ = port.Finish(run, wire.Next)
		}}, nil
	})
	open := g.open()
	g.queue(open)
	fetch := next[*wire.Fetch](g)
	g.direct(&wire.Data{Head: with(open, 1), ID: fetch.CallID, Bytes: make([]byte, 32<<10), More: true})
	next[*wire.Result](g)
	g.direct(later(open, 2, 1, wire.ResponseBodyFilter))
	fetch = next[*wire.Fetch](g)
	next[*wire.Credit](g) // else the gateway could not send a byte
	g.direct(&wire.Data{Head: with(open, 3), ID: fetch.CallID, Bytes: []byte("body")})
	next[*wire.Result](g)
}

// filtering is a handler whose body filter works piece by piece.
type filtering struct{ handler }

func (filtering) Streams() bool { return true }

func TestABodyFilterThatStreams(t *testing.T) {
	g := stage(t, nil, func(port session.Port) (session.Handler, *session.Failure) {
		return filtering{handler{wire.AllPhases, func(run *session.Run) {
			if run.Phase != wire.ResponseBodyFilter {
				_ = port.Finish(run, wire.Next)
				return
			}
			stream, err := port.OpenStream(run)
			if err == nil {
				_, err = io.Copy(stream, port.ReadStream(run, wire.FetchResponseStream))
			}
			if err == nil {
				err = stream.End()
			}
			if err != nil {
				t.Error(err)
			}
		}}}, nil
	})
	open := g.open()
	g.queue(open)
	if first := next[*wire.Result](g).First; first.BodyMode != wire.Streaming {
		t.Errorf("%+v", first)
	}
	g.eventually("its beats say so", func(w *Worker) bool {
		return w.nextBeat(time.Now()).Entries[0].BodyMode == wire.Streaming
	})
	g.direct(later(open, 1, 1, wire.ResponseBodyFilter))
	head := next[*wire.Stream](g)
	fetch := next[*wire.Fetch](g)
	if fetch.What != wire.FetchResponseStream || fetch.First != nil {
		t.Errorf("%+v", fetch)
	}
	for i, text := range []string{"one", "two", ""} {
		g.direct(&wire.Data{Head: with(open, uint32(i+2)), ID: fetch.CallID, Bytes: []byte(text), More: text != ""})
		if text == "" {
			break
		}
		if data := next[*wire.Data](g); string(data.Bytes) != text || data.ID != head.StreamID || data.PhaseSeq != 1 {
			t.Errorf("%+v", data)
		}
	}
	if end := next[*wire.StreamEnd](g); end.Outcome != wire.OutcomeOk {
		t.Errorf("%+v", end)
	}
}
