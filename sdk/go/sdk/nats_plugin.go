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

// NatsPlugin is a plugin that serves as a worker of a group on NATS. Any number of processes may serve one group.
type NatsPlugin struct {
	transport *natsTransport
}

var _ Plugin = (*NatsPlugin)(nil)

// NewNatsPlugin makes a worker. Servers is one URL or several with commas; group is the plugin's `group:` in the gateway's
// configuration, by default the plugin's name there. Empty ones are read from NATS_SERVERS (then nats://127.0.0.1:4222) and
// NATS_GROUP. What no option says about the login comes from NATS_USER and NATS_PASSWORD, NATS_TOKEN, NATS_NKEY_SEED or
// NATS_CREDS_FILE, and about TLS from NATS_TLS, NATS_CA_FILE, NATS_CERT_FILE and NATS_KEY_FILE.
//
// The worker connects in the background and tries for ever, so that it may start before NATS. It serves from the first
// AddPhaseHandler on. Until Start or Run is called, SIGTERM and SIGINT make it drain and then end the process.
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

// AddPhaseHandler registers an entry and serves it at once; the same name again replaces the function for later requests.
// What goes wrong is reported by Start and to the error handler.
func (p *NatsPlugin) AddPhaseHandler(name string, handler func(*PhaseHandler)) {
	_ = p.transport.AddHandler(name, handler) // kept for Start, and reported
}

// Initialize registers what takes the plugin's `config:`, before the first handler. It runs before the first request and again
// for each newer configuration; requests wait for it only briefly. A panic refuses the configuration.
func (p *NatsPlugin) Initialize(fn func(map[string]interface{})) { p.transport.Initialize(fn) }

// Shutdown registers what runs once, after the last request. It has 3 s.
func (p *NatsPlugin) Shutdown(fn func()) { p.transport.Shutdown(fn) }

// Start makes sure that the worker serves: it flushes the subscriptions, waits for WithConfig's Initialize, and reports what
// went wrong so far. From then on signals are the caller's. It may be called again.
func (p *NatsPlugin) Start() error {
	unattended.remove(p)
	return p.transport.Start()
}

// Run serves until ctx is done or SIGTERM or SIGINT comes, and drains then. A second signal ends the process at once.
func (p *NatsPlugin) Run(ctx context.Context) error {
	if err := p.Start(); err != nil {
		return errors.Join(err, p.Close())
	}
	came := make(chan os.Signal, 2)
	signal.Notify(came, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(came)
	select {
	case <-ctx.Done():
	case <-came:
	case <-p.Done():
	}
	go func() {
		select {
		case second := <-came:
			os.Exit(exitCode(second))
		case <-p.Done():
		}
	}()
	return p.Close()
}

// Close drains: no new requests, running ones may finish until the drain timeout, then Shutdown. It waits for the end unless a
// callback of this plugin calls it, and may be called again.
func (p *NatsPlugin) Close() error {
	unattended.remove(p)
	return p.transport.Close()
}

// Done is closed when the worker has ended.
func (p *NatsPlugin) Done() <-chan struct{} { return p.transport.worker.Done() }

// Ready says whether the worker takes requests: connected, initialized, not draining. For a health endpoint.
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
