package natsworker

import (
	"log/slog"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/session"
)

// Options is how a worker serves its group.
type Options struct {
	Prefix       string
	Group        string
	Version      string
	MaxSessions  int
	MaxBody      int
	WaitLimit    time.Duration
	DrainTimeout time.Duration
	// ShutdownTimeout is how long Shutdown may take.
	ShutdownTimeout time.Duration
	// Credit that a gateway starts with in each session, bytes.
	Credit uint32
	// Config is the worker's own configuration text; nil: the gateways' counts.
	Config []byte
	Logger *slog.Logger
	// OnError hears of what concerns no single request.
	OnError func(error)
	// Initialize is asked for at each new configuration; it gives nil where the plugin wants none.
	Initialize func() session.Initialize
	// Shutdown runs once, after the last session.
	Shutdown func()
}

const (
	// acceptAfter: a handler that has not answered by then is announced by ACCEPT (SPEC 15.1).
	acceptAfter = 50 * time.Millisecond
	// probeAfter: a session that hears nothing asks whether its gateway is there (SPEC 17.3).
	probeAfter = time.Second
	// probeAgain: while it goes on hearing nothing, each of its questions comes twice as long after the one before, up to this; in
	// between, those of other sessions of the same gateway thread are its own.
	probeAgain = 16 * time.Second
	// silentAfter: a callback that returned without Next or End is reported.
	silentAfter = time.Second
	// idleLimit ends sessions between two phases although their gateway lives.
	idleLimit = time.Hour
	// idleFactor: so many idle sessions for each active one.
	idleFactor = 16
	// keptLimit bounds the request bodies of idle sessions, bytes.
	keptLimit = 64 << 20
	// windowLimit is what a session's window grows to, bytes.
	windowLimit = 1 << 20
	tickEvery   = 10 * time.Millisecond
	beatEvery   = 250 * time.Millisecond
)
