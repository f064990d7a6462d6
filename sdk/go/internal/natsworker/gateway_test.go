package natsworker

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// server is a nats-server for the tests of this package; "" where there is none.
var server string

func TestMain(m *testing.M) {
	code := func() int {
		url, stop, err := startServer()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer stop()
		server = url
		return m.Run()
	}()
	os.Exit(code)
}

// startServer starts the nats-server that NYLON_NATS_SERVER names, or one on the PATH.
func startServer() (string, func(), error) {
	binary := os.Getenv("NYLON_NATS_SERVER")
	if binary == "" {
		found, err := exec.LookPath("nats-server")
		if err != nil {
			return "", func() {}, nil
		}
		binary = found
	}
	directory, err := os.MkdirTemp("", "nylon-go-nats-")
	if err != nil {
		return "", nil, err
	}
	config := filepath.Join(directory, "nats.conf")
	if err := os.WriteFile(config, []byte("listen: 127.0.0.1:-1\n"), 0o600); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	child := exec.CommandContext(ctx, binary, "-c", config)
	output, err := child.StderrPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		cancel()
		return "", nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	stop := func() {
		cancel()
		_ = child.Wait() // it was killed
		_ = os.RemoveAll(directory)
	}
	address, lines := "", bufio.NewScanner(output)
	for lines.Scan() {
		if found := regexp.MustCompile(`client connections on (\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
		if strings.Contains(lines.Text(), "Server is ready") {
			go func() { _, _ = io.Copy(io.Discard, output) }() // so that it never waits for us
			return "nats://" + address, stop, nil
		}
	}
	stop()
	return "", nil, fmt.Errorf("starting %s: it ended", binary)
}

// gateway speaks raw frames to a worker, as strictly as SPEC says.
type gateway struct {
	t       *testing.T
	conn    *nats.Conn
	worker  *Worker
	subject string
	frames  chan wire.Frame
	sub     *nats.Subscription
}

// handler is user code of the tests.
type handler struct {
	mask uint32
	run  func(*session.Run)
}

func (h handler) Mask() uint32         { return h.mask }
func (h handler) Streams() bool        { return false }
func (h handler) Run(run *session.Run) { h.run(run) }

// stage starts a worker whose entry "e" does what open says, and a gateway.
func stage(t *testing.T, change func(*Options), open session.Open) *gateway {
	t.Helper()
	if server == "" {
		t.Skip("no nats-server: put one on the PATH or set NYLON_NATS_SERVER")
	}
	connect := func() *nats.Conn {
		conn, err := nats.Connect(server, nats.ReconnectBufSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	options := Options{
		Prefix: "nylon", Group: "g" + strings.ReplaceAll(t.Name(), "/", "-"), Version: "0.0.0", MaxSessions: 1024, MaxBody: 10 << 20,
		WaitLimit: 100 * time.Millisecond, DrainTimeout: 5 * time.Second, ShutdownTimeout: time.Second, Credit: 32 << 10,
		Logger:     slog.New(slog.NewTextHandler(io.Discard, nil)),
		Initialize: func() session.Initialize { return func([]byte) error { return nil } },
	}
	if change != nil {
		change(&options)
	}
	worker, err := New(connect(), false, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Add("e", open); err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		worker.Drain()
		<-worker.Done()
	})
	g := &gateway{t: t, conn: connect(), worker: worker, frames: make(chan wire.Frame, 4096)}
	g.subject = "nylon.v1.h." + worker.ID() + ".0"
	g.sub, err = g.conn.Subscribe(g.subject+".*", func(m *nats.Msg) { g.take(string(m.Data)) })
	if err != nil {
		t.Fatal(err)
	}
	if err := g.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) take(data string) {
	frame, err := wire.Decode(data)
	if err != nil {
		g.t.Errorf("the worker sent %x: %v", data, err)
		return
	}
	if batch, ok := frame.(*wire.Batch); ok {
		for _, inner := range batch.Frames {
			g.take(inner)
		}
		return
	}
	g.frames <- frame
}

// open is an OPEN with a session of its own.
func (g *gateway) open() *wire.Open {
	open := &wire.Open{
		V: wire.Version, Reply: g.subject + ".7", Entry: "e", Phase: wire.RequestFilter, RemainingMs: 5000,
		MonoMs: uint64(time.Since(started).Milliseconds()), Credit: wire.InitialCredit,
		Snapshot: wire.Snapshot{Method: "GET", Scheme: "http", Host: "a.test", Path: "/", ClientIP: "::1"},
	}
	open.Generation = 3
	if _, err := rand.Read(open.Session[:]); err != nil {
		g.t.Fatal(err)
	}
	return open
}

// queue sends an OPEN through the queue group.
func (g *gateway) queue(open *wire.Open) {
	g.t.Helper()
	subject, err := wire.Subject("nylon", "open", g.worker.options.Group, open.Entry)
	if err != nil {
		g.t.Fatal(err)
	}
	g.send(subject, open)
}

// direct sends frames to the worker's own subject; several as a BATCH.
func (g *gateway) direct(frames ...wire.Frame) {
	g.t.Helper()
	if len(frames) == 1 {
		g.send(g.worker.subject, frames[0])
		return
	}
	batch := &wire.Batch{}
	for _, frame := range frames {
		batch.Frames = append(batch.Frames, string(wire.Append(nil, frame)))
	}
	g.send(g.worker.subject, batch)
}

func (g *gateway) send(subject string, frame wire.Frame) {
	g.t.Helper()
	if err := g.conn.PublishRequest(subject, g.subject+".7", wire.Append(nil, frame)); err != nil {
		g.t.Fatal(err)
	}
}

// next waits for the worker's next frame.
func next[T wire.Frame](g *gateway) T {
	g.t.Helper()
	select {
	case frame := <-g.frames:
		found, ok := frame.(T)
		if !ok {
			g.t.Fatalf("the worker sent %T %+v", frame, frame)
		}
		return found
	case <-time.After(10 * time.Second):
		g.t.Fatal("the worker sent nothing")
	}
	panic("not reached")
}

// nothing makes sure that the worker has sent nothing by the time it has answered something else.
func (g *gateway) nothing() {
	g.t.Helper()
	stranger := g.open()
	probe := &wire.Probe{Head: stranger.Head}
	g.direct(probe)
	if abort := next[*wire.Abort](g); abort.Reason != wire.AbortStale || abort.Session != stranger.Session {
		g.t.Fatalf("the worker sent %+v", abort)
	}
}

// eventually waits for a condition on the worker's state.
func (g *gateway) eventually(what string, condition func(*Worker) bool) {
	g.t.Helper()
	limit := time.Now().Add(10 * time.Second)
	for {
		g.worker.mu.Lock()
		met := condition(g.worker)
		g.worker.mu.Unlock()
		if met {
			return
		}
		if time.Now().After(limit) {
			g.t.Fatalf("never: %s", what)
		}
		// sleep: between two looks at the condition
		time.Sleep(time.Millisecond)
	}
}

// later is a PHASE of an open session.
func later(open *wire.Open, seq, phaseSeq uint32, phase wire.Phase) *wire.PhaseFrame {
	frame := &wire.PhaseFrame{
		Head: open.Head, Phase: phase, RemainingMs: 5000, MonoMs: uint64(time.Since(started).Milliseconds()),
		Response: &wire.Response{Status: 200},
	}
	frame.Seq, frame.PhaseSeq = seq, phaseSeq
	return frame
}

// finishing is a handler that ends every phase at once.
func finishing(mask uint32, action wire.Action, ops ...wire.Operation) session.Open {
	return func(port session.Port) (session.Handler, *session.Failure) {
		return handler{mask, func(run *session.Run) {
			for _, op := range ops {
				_ = port.Apply(run, op)
			}
			_ = port.Finish(run, action)
		}}, nil
	}
}

// holding is a handler that waits until it is released or its session ends, and tells the cause.
type holding struct {
	mu     sync.Mutex
	in     int
	causes []error
	free   chan struct{}
}

func (h *holding) open(port session.Port) (session.Handler, *session.Failure) {
	return handler{wire.RequestFilter.Bit(), func(run *session.Run) {
		h.mu.Lock()
		h.in++
		h.mu.Unlock()
		ctx := port.Context()
		select {
		case <-h.free:
		case <-ctx.Done():
			h.mu.Lock()
			h.causes = append(h.causes, context.Cause(ctx))
			h.mu.Unlock()
		}
		_ = port.Finish(run, wire.Next)
	}}, nil
}

func (h *holding) running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.in
}

func (h *holding) cause() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.causes...)
}
