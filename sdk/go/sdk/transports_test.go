package sdk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/ffi"
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

func TestHowAWorkerConnects(t *testing.T) {
	t.Setenv("NATS_USER", "ann")
	t.Setenv("NATS_PASSWORD", "secret")
	t.Setenv("NATS_TOKEN", "another way to log in")
	o := &natsOptions{logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	o.fromEnvironment()
	conn, err := o.connection("nats://127.0.0.1:1", "g") // nobody is there
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.Opts; got.User != "ann" || got.Password != "secret" || got.Token != "" {
		t.Errorf("%q %q %q", got.User, got.Password, got.Token)
	}
	if got := conn.Opts.PingInterval; got != 5*time.Second {
		t.Errorf("a dead server is noticed by pings every %s", got)
	}
}

func TestStartAfterClose(t *testing.T) {
	plugin, err := NewNatsPlugin("nats://127.0.0.1:1", "g", WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		t.Fatal(err)
	}
	plugin.AddPhaseHandler("e", func(*PhaseHandler) {})
	if err := errors.Join(plugin.Start(), plugin.Close()); err != nil {
		t.Fatal(err)
	}
	if err := plugin.Start(); !errors.Is(err, ErrShuttingDown) {
		t.Error(err)
	}
}

// TestRunEndsAlsoWhileItStarts: a plugin's Initialize may take as long as it likes.
func TestRunEndsAlsoWhileItStarts(t *testing.T) {
	survives := make(chan os.Signal, 1) // this process, whoever leaves the signal alone
	signal.Notify(survives, syscall.SIGTERM)
	defer signal.Stop(survives)
	for _, end := range []func(cancel func()){
		func(func()) { raise(syscall.SIGTERM) },
		func(cancel func()) { cancel() },
	} {
		config := WithConfig(map[string]interface{}{})
		plugin, err := NewNatsPlugin("nats://127.0.0.1:1", "g", config, WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		if err != nil {
			t.Fatal(err)
		}
		initializes, release, shut := make(chan struct{}), make(chan struct{}), make(chan struct{})
		plugin.Initialize(func(map[string]interface{}) { close(initializes); <-release })
		plugin.Shutdown(func() { close(shut) })
		plugin.AddPhaseHandler("e", func(*PhaseHandler) {})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- plugin.Run(ctx) }()
		<-initializes
		for unattended.has(plugin) { // then Run has the signals
			runtime.Gosched()
		}
		end(cancel)
		select {
		case err := <-ended:
			<-shut
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it still starts")
		}
		close(release)
		cancel()
	}
}

func (w *watched) has(p *NatsPlugin) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, has := w.plugins[p]
	return has
}

// TestASecondStreamOfALibrary: the ABI would take its head, and the client would get one within the body.
func TestASecondStreamOfALibrary(t *testing.T) {
	sent, ended := []uint32{}, make(chan error, 1)
	library := ffi.NewLibrary()
	transport := newFFITransport(library)
	err := transport.AddHandler("e", func(phase *PhaseHandler) {
		phase.RequestFilter(func(ctx *PhaseRequestFilter) {
			stream, err := ctx.Response().Stream()
			if err != nil {
				t.Error(err)
			}
			if _, err := ctx.Response().Stream(); err == nil {
				t.Error("a second stream was opened")
			}
			ended <- stream.End()
		})
	})
	if err != nil || !library.Register(1, "e", func(_, method uint32, _ []byte) { sent = append(sent, method) }) {
		t.Fatal(err)
	}
	library.Event(1, uint8(wire.RequestFilter), 0, nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	head := MethodIDMapping[NylonMethodSetResponseStreamHeader]
	if first := slices.Index(sent, head); first < 0 || slices.Contains(sent[first+1:], head) {
		t.Errorf("%v", sent)
	}
}
