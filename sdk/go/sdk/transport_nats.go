package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/natsworker"
	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// natsTransport is a worker of a group.
type natsTransport struct {
	worker *natsworker.Worker
	hooks  hooks
}

var _ PluginTransport = (*natsTransport)(nil)

func newNatsTransport(servers, group string, o *natsOptions) (*natsTransport, error) {
	t := &natsTransport{}
	var config []byte
	if o.config != nil {
		text, err := json.Marshal(o.config)
		if err != nil {
			return nil, fmt.Errorf("encoding the config: %w", err)
		}
		config = text
	}
	conn, err := o.connection(servers, group)
	if err != nil {
		return nil, err
	}
	worker, err := natsworker.New(conn, o.conn == nil, natsworker.Options{
		Prefix: o.prefix, Group: group, Version: version(), MaxSessions: o.maxSessions, MaxBody: o.maxBody,
		WaitLimit: 100 * time.Millisecond, DrainTimeout: o.drainTimeout, ShutdownTimeout: 3 * time.Second, Credit: 32 << 10,
		Config: config, Logger: o.logger, OnError: o.onError,
		Initialize: func() session.Initialize {
			return func(text []byte) error { return t.hooks.runInitialize(text, o.logger) }
		},
		Shutdown: func() { t.hooks.runShutdown(o.logger) },
	})
	if err != nil {
		if o.conn == nil {
			conn.Close()
		}
		return nil, err
	}
	t.worker = worker
	return t, nil
}

// connection connects in the background, for ever, unless told otherwise.
func (o *natsOptions) connection(servers, group string) (*nats.Conn, error) {
	if o.conn != nil {
		return o.conn, nil
	}
	name := o.name
	if name == "" {
		name = "nylon worker " + group
	}
	options := append([]nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(!o.failFast),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(pingInterval),
		// Results that wait for a reconnect are useless beyond a moment.
		nats.ReconnectBufSize(1 << 20),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				err = fmt.Errorf("receiving on %s: %w", sub.Subject, err)
			}
			if errors.Is(err, nats.ErrSlowConsumer) {
				err = fmt.Errorf("nats messages were dropped, the worker does not keep up: %w", err)
			}
			o.logger.Error("nylon worker: nats", "error", err)
			if o.onError != nil {
				o.onError(err)
			}
		}),
	}, o.connect...)
	conn, err := nats.Connect(servers, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to nats at %s: %w", redacted(servers), err)
	}
	return conn, nil
}

// pingInterval is the other SDK's: with the client's own two minutes a dead server holds the worker for as long as six.
const pingInterval = 5 * time.Second

// reconnectDelay is short at first: a gateway that is back before gives up the streams of a worker that it does not hear.
func reconnectDelay(attempts int) time.Duration {
	longest := min(100*time.Millisecond<<min(max(attempts, 0), 4), time.Second)
	return longest/2 + rand.N(longest/2)
}

// AddHandler subscribes for an entry at once.
func (t *natsTransport) AddHandler(name string, handler func(*PhaseHandler)) error {
	if handler == nil {
		return t.worker.Fail(fmt.Errorf("adding handler %q: it is nil", name))
	}
	return t.worker.Add(name, func(port session.Port) (session.Handler, *session.Failure) {
		return openSession(handler, port)
	})
}

// Initialize registers what takes the configuration.
func (t *natsTransport) Initialize(fn func(map[string]interface{})) {
	t.hooks.setInitialize(fn)
	if fn != nil {
		t.worker.WantConfig()
	}
}

// Shutdown registers what runs after the last session.
func (t *natsTransport) Shutdown(fn func()) { t.hooks.setShutdown(fn) }

// Start flushes the subscriptions and reports those that failed.
func (t *natsTransport) Start() error { return t.worker.Start() }

// Close drains and waits for the end, unless a callback calls it, which would wait for itself.
func (t *natsTransport) Close() error {
	t.worker.Drain()
	if !inCallback() {
		<-t.worker.Done()
	}
	return nil
}

func defaultLogger(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.Default()
	}
	return logger
}
