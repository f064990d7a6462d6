package sdk

import "github.com/AssetsArt/nylon/sdk/go/internal/session"

// Errors of calls and causes of PhaseHandler.Context; compare with errors.Is. In a library a session that has ended early is
// always ErrSessionClosed: the ABI does not say why.
var (
	// ErrClientGone: the HTTP client has left (SPEC 9.11).
	ErrClientGone = session.ErrClientGone
	// ErrPhaseTimeout: the phase is over its deadline, which is `timeout:` in the gateway's configuration, 5 s by default.
	ErrPhaseTimeout = session.ErrPhaseTimeout
	// ErrBodyTooLarge: a body is longer than the limit, WithMaxBody or the gateway's; it is never cut (SPEC 12.2).
	ErrBodyTooLarge = session.ErrBodyTooLarge
	// ErrSessionClosed: the phase, stream, WebSocket or session is over, or its gateway is gone.
	ErrSessionClosed = session.ErrClosed
	// ErrNotWebSocket: the request is no valid WebSocket upgrade (RFC 6455, 4.2.1).
	ErrNotWebSocket = session.ErrNotWebSocket
	// ErrShuttingDown: the worker ends. A running request hears of it when the drain timeout is over.
	ErrShuttingDown = session.ErrShuttingDown
	// ErrNotSupported: this transport, or the gateway that has loaded the library, cannot do it.
	ErrNotSupported = session.ErrUnsupported
	// ErrNoBody: there is no such body in this phase, or a BodyReader has taken it (SPEC 14.7).
	ErrNoBody = session.ErrNoBody
)
