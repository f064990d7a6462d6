package ffi

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// TestFlatbuffers compares with what the original SDK and its host have been seen to send.
func TestFlatbuffers(t *testing.T) {
	const sent = "0c00000008000c000800040008000000080000000c000000010000003100000003000000582d4100"
	if got := hex.EncodeToString(encodeHeader("X-A", "1")); got != sent {
		t.Errorf("%s", got)
	}
	list, err := hex.DecodeString("0c0000000000060008000400060000000400000001000000100000000000000008000c0004000800" +
		"08000000080000000c000000010000006100000001000000620000" + "00")
	if err != nil {
		t.Fatal(err)
	}
	headers, err := decodeHeaders(list)
	if err != nil || !reflect.DeepEqual(headers, []wire.Header{{Name: "a", Value: "b"}}) {
		t.Errorf("%v %v", headers, err)
	}
	for end := range list[:len(list)-3] { // the last bytes are padding
		if _, err := decodeHeaders(list[:end]); err == nil {
			t.Errorf("%d bytes of it are no list", end)
		}
	}
}

func FuzzDecodeHeaders(f *testing.F) {
	f.Add(encodeHeader("X-A", "1"))
	f.Fuzz(func(_ *testing.T, buffer []byte) { _, _ = decodeHeaders(buffer) })
}

// host is the other side: it notes what comes, and answers reads as it is told to.
type host struct {
	library *Library
	mu      sync.Mutex
	methods []uint32
	last    map[uint32][]byte // payloads by method
	answers map[uint32]string
	pieces  []string // of the request's body
	came    chan uint32
}

func newHost() *host {
	h := &host{library: NewLibrary(), answers: map[uint32]string{}, last: map[uint32][]byte{}, came: make(chan uint32, 1024)}
	h.library.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	return h
}

func (h *host) send(sid, method uint32, payload []byte) {
	h.mu.Lock()
	h.last[method] = bytes.Clone(payload)
	h.methods = append(h.methods, method)
	answer, known := h.answers[method]
	if method == readRequestPiece || method == readResponsePiece {
		known = true
		if len(h.pieces) > 0 {
			answer, h.pieces = h.pieces[0], h.pieces[1:]
		}
	}
	h.mu.Unlock()
	if known { // inside the callback
		h.library.Event(sid, 0, method, []byte(answer))
	}
	h.came <- method
}

// handler runs a function as the callback of every phase.
type handler struct {
	mask    uint32
	run     func(port session.Port, run *session.Run)
	port    session.Port
	streams bool
}

func (h handler) Mask() uint32         { return h.mask }
func (h handler) Streams() bool        { return h.streams }
func (h handler) Run(run *session.Run) { h.run(h.port, run) }

func (h *host) open(t *testing.T, sid uint32, run func(port session.Port, run *session.Run)) {
	t.Helper()
	h.library.Add("e", func(port session.Port) (session.Handler, *session.Failure) {
		return handler{mask: wire.AllPhases, run: run, port: port}, nil
	})
	if !h.library.Register(sid, "e", h.send) {
		t.Fatal("not registered")
	}
}

func TestAnEmptyAnswerIsAnAnswer(t *testing.T) {
	h, got := newHost(), make(chan string, 2)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		port.Load(run, session.PartQuery)
		got <- run.Request.Query
		_ = port.Finish(run, wire.Next)
	})
	for _, answer := range []string{"before", ""} {
		h.mu.Lock()
		h.answers[readQuery] = answer
		h.mu.Unlock()
		h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
		if read := <-got; read != answer {
			t.Errorf("%q, want %q", read, answer)
		}
	}
}

func TestPhasesWithoutACallbackEndWithinTheCall(t *testing.T) {
	h := newHost()
	h.library.Add("e", func(session.Port) (session.Handler, *session.Failure) {
		return handler{mask: wire.RequestFilter.Bit(), run: func(session.Port, *session.Run) { t.Error("it has a callback") }}, nil
	})
	var came []uint32
	h.library.Register(1, "e", func(sid, method uint32, _ []byte) {
		if came = append(came, method); len(came) == 1 { // a host may begin the next one before this has returned
			h.library.Event(sid, uint8(wire.ResponseBodyFilter), 0, nil)
		}
	})
	h.library.Event(1, uint8(wire.ResponseFilter), 0, nil)
	h.library.Event(1, uint8(wire.Logging), 0, nil)
	if !slices.Equal(came, []uint32{next, next, next}) {
		t.Errorf("%v", came)
	}
}

func TestTheEndOfASessionWakesItsReaders(t *testing.T) {
	h, ended := newHost(), make(chan error, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		_, err := port.Fetch(context.Background(), run, wire.FetchRequestBody, 0)
		ended <- errors.Join(err, port.Finish(run, wire.End))
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if method := <-h.came; method != readRequestBody {
		t.Fatal(method)
	}
	h.library.Close(1)
	if err := <-ended; !errors.Is(err, session.ErrClosed) {
		t.Error(err)
	}
	if err := h.library.Send(1, next, nil); !errors.Is(err, session.ErrClosed) {
		t.Error(err)
	}
	if len(h.library.sessions) != 0 || len(h.methods) != 1 {
		t.Errorf("%d sessions are left, sent %v", len(h.library.sessions), h.methods)
	}
}

func TestASecondHeaderNeedsTheHost(t *testing.T) {
	h, errs := newHost(), make(chan error, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		add := wire.Operation{Number: wire.OpAddResponseHeader, Name: "Set-Cookie", Value: "a"}
		errs <- errors.Join(port.Apply(run, add), port.Apply(run, add))
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if err := <-errs; !errors.Is(err, session.ErrUnsupported) {
		t.Error(err)
	}
	h.library.Extensions([]uint32{wire.OpAddResponseHeader})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if err := <-errs; err != nil {
		t.Error(err)
	}
}

// settled opens a session whose callback has been seen to be quick.
func (h *host) settled(t *testing.T, run func(port session.Port, run *session.Run)) {
	t.Helper()
	h.open(t, 1, run)
	if h.library.RunPhase(0, 1, uint8(wire.RequestFilter)) {
		t.Fatal("nothing is known of it")
	}
	for <-h.came != next {
	}
	pace := h.pace()
	await(t, "it has not returned", func() bool { return pace.seen.Load() && !h.works() })
	pace.average.Store(0) // however busy this machine is
}

// pace is that of the request filter.
func (h *host) pace() *pace { return &h.library.entries["e"].pace[wire.RequestFilter] }

// works says whether anybody runs phases of the session.
func (h *host) works() bool {
	s := h.library.session(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.working
}

func await(t *testing.T, otherwise string, condition func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !condition(); runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal(otherwise)
		}
	}
}

func passes(port session.Port, run *session.Run) { _ = port.Finish(run, wire.Next) }

func TestAQuickCallbackRunsWithinTheCall(t *testing.T) {
	h := newHost()
	h.answers[readQuery] = "q"
	h.settled(t, func(port session.Port, run *session.Run) {
		port.Load(run, session.PartQuery)
		passes(port, run)
	})
	h.mu.Lock()
	before := len(h.methods)
	h.mu.Unlock()
	if !h.library.RunPhase(0, 1, uint8(wire.RequestFilter)) {
		t.Fatal("once is no accident")
	}
	h.mu.Lock()
	got := h.methods[before:]
	h.mu.Unlock()
	if !reflect.DeepEqual(got, []uint32{readQuery, next}) {
		t.Errorf("%v", got)
	}
	h.library.Close(1)
	if !h.library.RunPhase(0, 1, uint8(wire.RequestFilter)) || len(h.methods) != before+2 {
		t.Error("a session that is over has nothing to run")
	}
}

func TestACallbackThatWaitsForTheHostGetsAGoroutine(t *testing.T) {
	h := newHost()
	waits := false
	h.settled(t, func(port session.Port, run *session.Run) {
		if waits {
			_, _ = port.Fetch(context.Background(), run, wire.FetchRequestBody, 0)
		}
		passes(port, run)
	})
	waits = true
	go h.library.RunPhase(0, 1, uint8(wire.RequestFilter))
	for method := range h.came {
		if method == readRequestBody {
			break
		}
	}
	await(t, "it does not wait", h.pace().waiting.Load) // an answer that comes at once is not waited for
	h.library.Event(1, 0, readRequestBody, []byte("body"))
	for <-h.came != next {
	}
	waits = false
	for range 2 * probing {
		if h.library.RunPhase(0, 1, uint8(wire.RequestFilter)) {
			t.Fatal("it may wait again")
		}
		for <-h.came != next {
		}
	}
}

func TestASlowCallbackGetsAGoroutineUntilItIsQuickAgain(t *testing.T) {
	var p pace
	p.seen.Store(true)
	for range memory {
		p.took(time.Second)
	}
	share := 0
	for range 10 * probing {
		if p.here() {
			share++
		}
	}
	if share != 10 {
		t.Errorf("%d probes", share)
	}
	for range 20 {
		p.took(time.Microsecond)
	}
	if !p.here() {
		t.Error("it is quick now")
	}
	p.took(time.Second)
	if !p.here() {
		t.Error("a preempted thread says little")
	}
}

// TestTheEndOfAGoroutineIsNotThatOfTheHostsThread: runtime.Goexit would end the process.
func TestTheEndOfAGoroutineIsNotThatOfTheHostsThread(t *testing.T) {
	h := newHost()
	ends := false
	h.settled(t, func(port session.Port, run *session.Run) {
		if ends {
			defer passes(port, run)
			runtime.Goexit()
		}
		passes(port, run)
	})
	ends = true
	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // as a thread of the host is
		done <- h.library.RunPhase(0, 1, uint8(wire.RequestFilter))
	}()
	if <-done {
		t.Error("it has not returned")
	}
	ends = false
	if h.library.RunPhase(0, 1, uint8(wire.RequestFilter)) {
		t.Error("it needs a goroutine of its own from now on")
	}
}

func TestAHostThatTakesFailuresIsToldOfThem(t *testing.T) {
	h := newHost()
	h.open(t, 1, func(port session.Port, run *session.Run) {
		change := wire.Operation{Number: wire.OpSetResponseHeader, Name: "X-A", Value: "1"}
		failure := session.Failure{Code: wire.FailHandler, Text: "asked to", LogID: "f00"}
		if err := errors.Join(port.Apply(run, change), port.Fail(run, failure)); err != nil && run.Phase != wire.Logging {
			t.Error(err)
		}
	})
	h.library.Extensions([]uint32{failPhase})
	for phase := wire.RequestFilter; phase <= wire.Logging; phase++ {
		h.library.Event(1, uint8(phase), 0, nil)
		want := uint32(failPhase)
		if phase == wire.Logging {
			want = next
		}
		if method := <-h.came; method != want {
			t.Errorf("phase %d: %d", phase, method)
		}
	}
	if want := encodeHeader(wire.FailHandler, "asked to (log id f00)"); !reflect.DeepEqual(h.last[failPhase], want) {
		t.Errorf("%q, want %q", h.last[failPhase], want)
	}
}

func TestAStreamThatFailsIsCutByAHostThatTakesFailures(t *testing.T) {
	h := newHost()
	h.open(t, 1, func(port session.Port, run *session.Run) {
		if _, err := port.OpenStream(run); err != nil {
			t.Error(err)
		}
		if err := port.Finish(run, wire.Next); err != nil {
			t.Error(err)
		}
	})
	h.library.Extensions([]uint32{failPhase})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	for method := range h.came {
		if method == failPhase {
			break
		}
		if method == unknown || method == next {
			t.Fatal(method)
		}
	}
}

// TestBodyReader: piece by piece where the host offers that, unless the handler has read the whole before.
func TestBodyReader(t *testing.T) {
	for _, each := range []struct {
		offered, before, long bool
		asks                  uint32
	}{{false, false, false, readRequestBody}, {true, true, false, readRequestBody}, {true, false, false, readRequestPiece}, {true, false, true, readRequestPiece}} {
		h, done := newHost(), make(chan struct{})
		h.answers[readRequestBody] = "whole"
		h.pieces = []string{"wh", "ole"}
		h.open(t, 1, func(port session.Port, run *session.Run) {
			defer close(done)
			if each.before {
				if _, err := port.Fetch(context.Background(), run, wire.FetchRequestBody, 0); err != nil {
					t.Error(err)
				}
			}
			body, err := io.ReadAll(port.ReadStream(run, wire.FetchRequestStream))
			if err != nil || string(body) != "whole" {
				t.Errorf("%q %v", body, err)
			}
			if each.long { // then the host has it no more
				h.answers[readRequestBody] = ""
			}
			_, err = port.Fetch(context.Background(), run, wire.FetchRequestBody, 0)
			if errors.Is(err, session.ErrNoBody) != each.long {
				t.Errorf("long: %v; read again: %v", each.long, err)
			}
		})
		if each.offered {
			h.library.Extensions([]uint32{readRequestPiece})
		}
		h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
		<-done
		if method := <-h.came; method != each.asks {
			t.Errorf("asked by %d, want %d", method, each.asks)
		}
	}
}

func TestABodyIsClosedWhileItIsWaitedFor(t *testing.T) {
	h, bodies, read := newHost(), make(chan session.BodyPort, 1), make(chan error, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		body := port.ReadStream(run, wire.FetchRequestStream)
		bodies <- body
		_, err := body.Read(make([]byte, 1))
		read <- err
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if method := <-h.came; method != readRequestBody { // and gets no answer
		t.Fatal(method)
	}
	if err := (<-bodies).Close(); err != nil {
		t.Error(err)
	}
	h.library.Event(1, 0, readRequestBody, []byte("too late"))
	if err := <-read; !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestTheIDOfARequest(t *testing.T) {
	h, got := newHost(), make(chan string, 1)
	h.answers[readRequestID] = "r1"
	h.open(t, 1, func(port session.Port, run *session.Run) {
		port.Load(run, session.PartID)
		got <- run.Request.RequestID
	})
	for _, want := range []string{"", "r1"} {
		h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
		if id := <-got; id != want {
			t.Errorf("%q, want %q", id, want)
		}
		h.library.Extensions([]uint32{readRequestID})
	}
}

// TestAFilterThatStreams takes an answer in pieces from a host that has them, and as a whole elsewhere.
func TestAFilterThatStreams(t *testing.T) {
	for _, each := range []struct {
		offered bool
		mask    uint32
		sent    []uint32
	}{
		{false, wire.AllPhases, []uint32{readResponseBody, wire.OpSetResponseFullBody, next}},
		{true, wire.AllPhases | streamsBody, []uint32{streamHeader, readResponsePiece, streamData, readResponsePiece, streamData, readResponsePiece, streamEnd}},
	} {
		h, done := newHost(), make(chan struct{})
		h.answers[readResponseBody] = "whole"
		h.pieces = []string{"wh", "ole"}
		if each.offered {
			h.library.Extensions([]uint32{readResponsePiece})
		}
		h.library.Add("e", func(port session.Port) (session.Handler, *session.Failure) {
			return handler{mask: wire.AllPhases, streams: true, port: port, run: func(port session.Port, run *session.Run) {
				defer close(done)
				out, err := port.OpenStream(run)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(writerOnly{out}, port.ReadStream(run, wire.FetchResponseStream)); err != nil {
					t.Error(err)
				}
				if err := out.End(); err != nil {
					t.Error(err)
				}
			}}, nil
		})
		if !h.library.Register(1, "e", h.send) || h.library.Phases(1) != each.mask {
			t.Errorf("phases %d, want %d", h.library.Phases(1), each.mask)
		}
		h.library.Event(1, uint8(wire.ResponseBodyFilter), 0, nil)
		<-done
		if !reflect.DeepEqual(h.methods, each.sent) {
			t.Errorf("sent %v, want %v", h.methods, each.sent)
		}
	}
}

type writerOnly struct{ io.Writer }

func TestAHostThatTakesSeveralMessagesGetsTheEndOfAPhaseInOne(t *testing.T) {
	h := newHost()
	h.library.Extensions([]uint32{wire.OpSetRequestHeader, several})
	h.open(t, 1, func(port session.Port, run *session.Run) {
		_ = port.Apply(run, wire.Operation{Number: wire.OpSetRequestHeader, Name: "X-A", Value: "1"})
		_ = port.Apply(run, wire.Operation{Number: wire.OpSetResponseStatus, Status: 202})
		passes(port, run)
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if method := <-h.came; method != several {
		t.Fatalf("%d", method)
	}
	h.mu.Lock()
	got := hex.EncodeToString(h.last[several])
	h.mu.Unlock()
	header := "9001000028000000" + hex.EncodeToString(encodeHeader("X-A", "1"))
	if want := header + "66000000" + "02000000" + "00ca" + "01000000" + "00000000"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestAThreadOfTheHostOutlivesCallbacksThatEndTheirGoroutine(t *testing.T) {
	runs := 0
	for round := range 6 {
		returned := runAside(warm, func() {
			runs++
			if round%2 == 1 {
				runtime.Goexit()
			}
		})
		if returned != (round%2 == 0) {
			t.Errorf("round %d: %v", round, returned)
		}
	}
	if runs != 6 {
		t.Errorf("%d runs", runs)
	}
}

// TestAThreadOfTheHostWithoutAPlaceLeavesNothingBehind: their numbers only grow.
func TestAThreadOfTheHostWithoutAPlaceLeavesNothingBehind(t *testing.T) {
	const runs = 1000
	ran, before := 0, runtime.NumGoroutine()
	for thread := range uint32(runs) {
		if !runAside(warm+1+thread, func() { ran++ }) {
			t.Fatal("it has returned")
		}
	}
	if after := runtime.NumGoroutine(); ran != runs || after >= before+runs/2 { // other tests leave some
		t.Errorf("%d runs, %d goroutines before and %d after", ran, before, after)
	}
}

func TestAContextThatIsWantedAfterTheEndIsOver(t *testing.T) {
	h := newHost()
	ports := make(chan session.Port, 1)
	h.open(t, 1, func(port session.Port, run *session.Run) {
		ports <- port
		passes(port, run)
	})
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	port := <-ports
	h.library.Close(1)
	if cause := context.Cause(port.Context()); !errors.Is(cause, session.ErrClosed) {
		t.Error(cause)
	}
}

// TestAClosedSessionIsForgotten: the original keeps every one, and goes on to serve it.
func TestAClosedSessionIsForgotten(t *testing.T) {
	h := newHost()
	h.open(t, 1, func(session.Port, *session.Run) { t.Error("a phase of a closed session runs") })
	h.library.Close(1)
	h.library.Close(1)
	if h.library.session(1) != nil {
		t.Error("it is kept")
	}
	h.library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if err := h.library.Send(1, next, nil); err == nil {
		t.Error("a message of a closed session goes out")
	}
}
