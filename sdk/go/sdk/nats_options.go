package sdk

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// NatsOption changes how a worker connects and serves. Where two options say the same thing the last one counts.
type NatsOption func(*natsOptions)

type natsOptions struct {
	name         string
	prefix       string
	connect      []nats.Option
	login        bool // an option says who the worker is
	encrypted    bool // an option says how the connection is encrypted
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

// WithPrefix is the beginning of every subject, as `prefix:` in the gateway's configuration: tokens of [A-Za-z0-9_-] joined by dots
// (SPEC 2). Default: what is in NYLON_PREFIX, else "nylon".
func WithPrefix(prefix string) NatsOption { return func(o *natsOptions) { o.prefix = prefix } }

// WithCredsFile authenticates with a credentials file (JWT and NKey), which has to be there when the plugin is made.
func WithCredsFile(path string) NatsOption { return loggingIn(nats.UserCredentials(path)) }

// WithNKeySeed authenticates with the NKey of this seed, "SU…". One that is no seed makes NewNatsPlugin fail.
func WithNKeySeed(seed string) NatsOption {
	return func(o *natsOptions) {
		o.login = true
		pair, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			o.err = fmt.Errorf("reading the NKey seed: %w", err)
			return
		}
		public, err := pair.PublicKey()
		if err != nil {
			o.err = fmt.Errorf("reading the NKey seed: %w", err)
			return
		}
		o.connect = append(o.connect, nats.Nkey(public, pair.Sign))
	}
}

// WithToken authenticates with a token.
func WithToken(token string) NatsOption { return loggingIn(nats.Token(token)) }

// WithUserInfo authenticates with user and password.
func WithUserInfo(user, password string) NatsOption { return loggingIn(nats.UserInfo(user, password)) }

// WithTLS requires TLS; a nil config trusts the system's authorities. The environment's variables about TLS do not count then.
func WithTLS(config *tls.Config) NatsOption {
	return func(o *natsOptions) {
		o.encrypted = true
		if config == nil {
			o.connect = append(o.connect, nats.Secure())
		} else {
			o.connect = append(o.connect, nats.Secure(config))
		}
	}
}

func loggingIn(option nats.Option) NatsOption {
	return func(o *natsOptions) {
		o.login = true
		o.connect = append(o.connect, option)
	}
}

// fromEnvironment adds what no option says: the variables are those of the other SDKs, and the first way to log in counts there, too.
func (o *natsOptions) fromEnvironment() {
	if !o.login {
		for _, each := range []struct {
			variable string
			option   func(string) NatsOption
		}{
			{"NATS_USER", func(user string) NatsOption { return WithUserInfo(user, os.Getenv("NATS_PASSWORD")) }},
			{"NATS_TOKEN", WithToken}, {"NATS_NKEY_SEED", WithNKeySeed}, {"NATS_CREDS_FILE", WithCredsFile},
		} {
			if value := os.Getenv(each.variable); value != "" {
				each.option(value)(o)
				break
			}
		}
	}
	if o.encrypted {
		return
	}
	if os.Getenv("NATS_TLS") != "" {
		o.connect = append(o.connect, nats.Secure())
	}
	if authorities := os.Getenv("NATS_CA_FILE"); authorities != "" {
		o.connect = append(o.connect, nats.RootCAs(authorities))
	}
	if certificate := os.Getenv("NATS_CERT_FILE"); certificate != "" {
		o.connect = append(o.connect, nats.ClientCert(certificate, os.Getenv("NATS_KEY_FILE")))
	}
}

// WithConn serves over this connection, which Close leaves open. Servers, and options about how to connect (name, login, TLS,
// WithFailFast), do not count then, and its own handlers hear of its errors.
func WithConn(conn *nats.Conn) NatsOption { return func(o *natsOptions) { o.conn = conn } }

// WithFailFast makes NewNatsPlugin wait for the first connection, 2 s for each server, and fail if there is none. A connection that
// is lost later is made again, for ever. Without it the worker tries for ever from the start.
func WithFailFast() NatsOption { return func(o *natsOptions) { o.failFast = true } }

// WithMaxSessions is how many requests may be in handlers at once, streams and WebSockets too; one more is sent to another worker
// (SPEC 22.1). Default 1024, at least 1.
func WithMaxSessions(sessions int) NatsOption {
	return func(o *natsOptions) { o.maxSessions = sessions }
}

// WithMaxBody is the longest body that a handler gets or sets as a whole, in bytes: a longer one is ErrBodyTooLarge, or fails the
// phase. The gateway's `max_body_bytes` counts beside it; streams have no limit. Default 10 MiB, at least 1.
func WithMaxBody(bytes int) NatsOption { return func(o *natsOptions) { o.maxBody = bytes } }

// WithDrainTimeout is how long Close lets running requests finish before it aborts them. Default 25 s, below the 30 s of Kubernetes;
// 0 waits for none.
func WithDrainTimeout(timeout time.Duration) NatsOption {
	return func(o *natsOptions) { o.drainTimeout = timeout }
}

// WithConfig is the plugin's configuration instead of the one that gateways have: Initialize runs with it before the first
// request, once unless it refuses, and Start waits for it. Values have to have a JSON form, and reach Initialize as JSON gives them.
// Nil is no configuration of its own.
func WithConfig(config map[string]interface{}) NatsOption {
	return func(o *natsOptions) { o.config = config }
}

// WithLogger is where the SDK reports. Default: slog.Default(), as it is when the plugin is made.
func WithLogger(logger *slog.Logger) NatsOption { return func(o *natsOptions) { o.logger = logger } }

// WithErrorHandler hears of errors that concern no single request: handlers that cannot be served, what the server or the client
// refuse, dropped messages, a Shutdown that takes too long; not of lost connections, which are made again. It is called on several
// goroutines and must not block. All of it is logged as well.
func WithErrorHandler(handle func(error)) NatsOption {
	return func(o *natsOptions) { o.onError = handle }
}
