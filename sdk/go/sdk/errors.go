package sdk

import "github.com/AssetsArt/nylon/sdk/go/internal/session"

// Errors of calls and causes of PhaseHandler.Context; compare with errors.Is.
var (
	// ErrClientGone: the HTTP client has left.
	ErrClientGone = session.ErrClientGone
	// ErrPhaseTimeout: the phase is over its deadline.
	ErrPhaseTimeout = session.ErrPhaseTimeout
	// ErrBodyTooLarge: a body is longer than the limit; it is never cut.
	ErrBodyTooLarge = session.ErrBodyTooLarge
	// ErrSessionClosed: the session is over.
	ErrSessionClosed = session.ErrClosed
	// ErrNotWebSocket: the request is no valid WebSocket upgrade.
	ErrNotWebSocket = session.ErrNotWebSocket
	// ErrShuttingDown: the worker ends.
	ErrShuttingDown = session.ErrShuttingDown
	// ErrNotSupported: this transport cannot do it yet.
	ErrNotSupported = session.ErrUnsupported
	// ErrNoBody: there is no such body in this phase.
	ErrNoBody = session.ErrNoBody
)
