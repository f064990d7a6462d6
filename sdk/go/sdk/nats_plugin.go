package sdk

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// NatsPlugin is a plugin that serves as a worker of a group on NATS. Any number of processes may serve one group. Its methods may
// be called from any goroutine.
type NatsPlugin struct {
	transport *natsTransport
}

var _ Plugin = (*NatsPlugin)(nil)

// NewNatsPlugin makes a worker. Servers is one URL or several with commas; group is the plugin's `group:` in the gateway's
// configuration, by default the plugin's name there. Empty ones are read from NATS_SERVERS (then nats://127.0.0.1:4222) and
// NATS_GROUP. What no option says about the login comes from the first of NATS_USER with NATS_PASSWORD, NATS_TOKEN, NATS_NKEY_SEED
// and NATS_CREDS_FILE that is set, and about TLS from NATS_TLS (any text requires it), NATS_CA_FILE, NATS_CERT_FILE and
// NATS_KEY_FILE.
//
// The worker connects in the background and tries for ever, so that it may start before NATS; a server that leaves its pings, one
// every 5 s, unanswered is left for another. It serves from the first AddPhaseHandler on. Until Start or Run is called, SIGTERM and
// SIGINT make it drain and then end the process.
//
// It is an error if there is no group, an option makes no sense or a file that it names cannot be read, a prefix, server or config
// cannot be used, and, with WithFailFast, if no server can be reached.
func NewNatsPlugin(servers string, group string, opts ...NatsOption) (*NatsPlugin, error) {
	o := &natsOptions{maxSessions: 1024, maxBody: 10 << 20, drainTimeout: 25 * time.Second}
	for _, option := range opts {
		option(o)
	}
	o.logger = defaultLogger(o.logger)
	o.fromEnvironment()
	if servers == "" {
		servers = os.Getenv("NATS_SERVERS")
	}
	if servers == "" {
		servers = nats.DefaultURL
	}
	if group == "" {
		group = os.Getenv("NATS_GROUP")
	}
	if o.prefix == "" {
		o.prefix = os.Getenv("NYLON_PREFIX")
	}
	if o.prefix == "" {
		o.prefix = "nylon"
	}
	switch {
	case o.err != nil:
		return nil, fmt.Errorf("creating a NATS plugin: %w", o.err)
	case group == "":
		return nil, errors.New("creating a NATS plugin: no group is given; pass one or set NATS_GROUP")
	case o.maxSessions < 1:
		return nil, fmt.Errorf("creating a NATS plugin: WithMaxSessions(%d): it has to be 1 at least", o.maxSessions)
	case o.maxBody < 1:
		return nil, fmt.Errorf("creating a NATS plugin: WithMaxBody(%d): it has to be 1 at least", o.maxBody)
	}
	transport, err := newNatsTransport(servers, group, o)
	if err != nil {
		return nil, fmt.Errorf("creating a NATS plugin: %w", err)
	}
	p := &NatsPlugin{transport: transport}
	unattended.add(p)
	return p, nil
}

// AddPhaseHandler registers an entry and serves it at once; the same name again replaces the function for later requests. The
// function runs once per request, those of different requests in parallel. What goes wrong (an empty name, no function, a worker
// that drains) is logged, told to the error handler, and returned by Start.
func (p *NatsPlugin) AddPhaseHandler(name string, handler func(*PhaseHandler)) {
	_ = p.transport.AddHandler(name, handler) // kept for Start, and reported
}

// Initialize registers what takes the plugin's `config:`, before the first handler; the last one counts, nil none. It runs before
// the first request, which waits for it 100 ms at most and goes to another worker then, and again for each newer configuration
// (SPEC 18): requests go on with the old one beside it, so that it has to guard what it changes. It never runs twice at a
// time. fn gets nil where there is no configuration, and numbers as float64. A panic refuses the configuration, as does one that
// is no object: see NewFallibleInitializer.
func (p *NatsPlugin) Initialize(fn func(map[string]interface{})) { p.transport.Initialize(fn) }

// Shutdown registers what runs once, when the last request has ended or the drain timeout is over; the last one counts. It has 3 s,
// then the worker ends without it. A panic is logged.
func (p *NatsPlugin) Shutdown(fn func()) { p.transport.Shutdown(fn) }

// Start makes sure that the worker serves: it flushes the subscriptions, for 5 s at most, waits for WithConfig's Initialize, and
// returns what went wrong with handlers so far, a refused WithConfig, or ErrShuttingDown after Close. A server that cannot be
// reached yet is only logged. From then on signals are the caller's. It may be called again.
func (p *NatsPlugin) Start() error {
	unattended.remove(p)
	return p.transport.Start()
}

// Run serves until ctx is done, SIGTERM or SIGINT comes, or Close is called elsewhere, and returns when the worker has drained; so it
// does if that happens while it starts. Its error is that of Start, if that has come to one. A second signal ends the process at
// once, with 128 + its number.
func (p *NatsPlugin) Run(ctx context.Context) error {
	came := make(chan os.Signal, 2)
	signal.Notify(came, syscall.SIGTERM, os.Interrupt) // first, so that there is no moment in which a signal just ends the process
	defer signal.Stop(came)
	unattended.remove(p)
	err := p.serve(ctx, came)
	go func() {
		select {
		case second := <-came:
			os.Exit(exitCode(second))
		case <-p.Done():
		}
	}()
	return errors.Join(err, p.Close())
}

// serve starts, and waits for what Run waits for.
func (p *NatsPlugin) serve(ctx context.Context, came <-chan os.Signal) error {
	started := make(chan error, 1)
	go func() { started <- p.transport.Start() }() // Close ends it
	select {
	case err := <-started:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return nil
	case <-came:
		return nil
	}
	select {
	case <-ctx.Done():
	case <-came:
	case <-p.Done():
	}
	return nil
}

// Close drains (SPEC 9.10): no new requests, running ones may finish until the drain timeout and are aborted then, WebSockets are
// closed with 1001, and Shutdown runs. It waits for the end unless a callback calls it, may be called again, and returns nil.
func (p *NatsPlugin) Close() error {
	unattended.remove(p)
	return p.transport.Close()
}

// Done is closed when the worker has ended: Shutdown has returned and the connection is closed.
func (p *NatsPlugin) Done() <-chan struct{} { return p.transport.worker.Done() }

// Ready says whether the worker takes requests: it has an entry, is connected and not draining, and no first configuration is
// refused or on its way. It asks nobody. For a health endpoint.
func (p *NatsPlugin) Ready() bool { return p.transport.worker.Ready() }

// inCallback says whether a callback of a plugin is on this goroutine's stack.
func inCallback() bool {
	var pcs [256]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "/sdk.guard") {
			return true
		}
		if !more {
			return false
		}
	}
}

// version is the SDK's own, as the build knows it.
func version() string {
	const unknown = "0.0.0"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, dependency := range append(info.Deps, &info.Main) {
		if dependency.Path == "github.com/AssetsArt/nylon/sdk/go" && strings.HasPrefix(dependency.Version, "v") {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return unknown
}

// redacted hides the passwords in server URLs.
func redacted(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		if parsed, err := url.Parse(strings.TrimSpace(server)); err == nil {
			list[i] = parsed.Redacted()
		} else {
			list[i] = "(a server that is no URL)"
		}
	}
	return strings.Join(list, ",")
}
