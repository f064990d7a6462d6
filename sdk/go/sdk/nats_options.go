package sdk

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// NatsOption changes how a worker connects and serves.
type NatsOption func(*natsOptions)

type natsOptions struct {
	name         string
	prefix       string
	connect      []nats.Option
	conn         *nats.Conn
	failFast     bool
	maxSessions  int
	maxBody      int
	drainTimeout time.Duration
	config       map[string]interface{}
	logger       *slog.Logger
	onError      func(error)
	err          error
}

// WithName names the connection; shown by the NATS server. Default "nylon worker <group>".
func WithName(name string) NatsOption { return func(o *natsOptions) { o.name = name } }

// WithPrefix is the first token of every subject, as in the gateway's configuration. Default "nylon".
func WithPrefix(prefix string) NatsOption { return func(o *natsOptions) { o.prefix = prefix } }

// WithCredsFile authenticates with a credentials file (JWT and NKey).
func WithCredsFile(path string) NatsOption { return connecting(nats.UserCredentials(path)) }

// WithNKeySeed authenticates with an NKey whose seed is in this file.
func WithNKeySeed(path string) NatsOption {
	return func(o *natsOptions) {
		option, err := nats.NkeyOptionFromSeed(path)
		if err != nil {
			o.err = err
			return
		}
		o.connect = append(o.connect, option)
	}
}

// WithToken authenticates with a token.
func WithToken(token string) NatsOption { return connecting(nats.Token(token)) }

// WithUserInfo authenticates with user and password.
func WithUserInfo(user, password string) NatsOption { return connecting(nats.UserInfo(user, password)) }

// WithTLS encrypts the connection; a nil config trusts the system's authorities.
func WithTLS(config *tls.Config) NatsOption {
	if config == nil {
		return connecting(nats.Secure())
	}
	return connecting(nats.Secure(config))
}

func connecting(option nats.Option) NatsOption {
	return func(o *natsOptions) { o.connect = append(o.connect, option) }
}

// WithConn serves over this connection, which Close leaves open. Servers and options of authentication do not count then.
func WithConn(conn *nats.Conn) NatsOption { return func(o *natsOptions) { o.conn = conn } }

// WithFailFast makes NewNatsPlugin fail if no server can be reached. Without it the worker tries for ever.
func WithFailFast() NatsOption { return func(o *natsOptions) { o.failFast = true } }

// WithMaxSessions is how many requests may be in handlers at once; one more is sent to another worker. Default 1024.
func WithMaxSessions(sessions int) NatsOption {
	return func(o *natsOptions) { o.maxSessions = sessions }
}

// WithMaxBody is the longest body that a handler gets or sets, in bytes. Default 10 MiB.
func WithMaxBody(bytes int) NatsOption { return func(o *natsOptions) { o.maxBody = bytes } }

// WithDrainTimeout is how long Close lets running requests finish. Default 25 s, below the 30 s of Kubernetes.
func WithDrainTimeout(timeout time.Duration) NatsOption {
	return func(o *natsOptions) { o.drainTimeout = timeout }
}

// WithConfig is the plugin's configuration instead of the one that gateways have: Initialize runs with it before the first
// request, and Start waits for it.
func WithConfig(config map[string]interface{}) NatsOption {
	return func(o *natsOptions) { o.config = config }
}

// WithLogger is where the SDK reports. Default slog.Default().
func WithLogger(logger *slog.Logger) NatsOption { return func(o *natsOptions) { o.logger = logger } }

// WithErrorHandler hears of errors that concern no single request: subscriptions, the connection. It must not block.
func WithErrorHandler(handle func(error)) NatsOption {
	return func(o *natsOptions) { o.onError = handle }
}
