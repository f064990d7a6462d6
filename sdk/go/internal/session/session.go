// Package session is what lies between the contexts of package sdk and the transports: a port per session, seen from user
// code, and the session's handler, seen from the transport. It knows neither.
package session

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// What ends a session or a call; package sdk exports them.
var (
	ErrClientGone   = errors.New("the client has left")
	ErrPhaseTimeout = errors.New("the phase is over its deadline")
	ErrBodyTooLarge = errors.New("the body is longer than the limit")
	ErrClosed       = errors.New("the session is over")
	ErrNotWebSocket = errors.New("the request is no WebSocket upgrade")
	ErrShuttingDown = errors.New("the worker is shutting down")
	ErrUnsupported  = errors.New("not supported by this transport yet")
	ErrNoBody       = errors.New("there is no body in this phase")
)

// Port is a session's channel to its gateway: the one thing that the contexts use, and the one thing that differs between
// transports. The calls for one run that change it (Apply, Finish, Fail) are made one at a time.
type Port interface {
	// Number counts the sessions of this process.
	Number() int32
	// UID names the session in every log.
	UID() string
	// Context ends with the session; its cause says why.
	Context() context.Context
	// Logger is where the SDK reports.
	Logger() *slog.Logger
	// Load makes sure that a part of a run can be read. What cannot be had is left empty and logged.
	Load(run *Run, part Part)
	// Fetch reads a body of up to limit bytes (0: the transport's own limit): FetchRequestBody or FetchResponseBody.
	Fetch(ctx context.Context, run *Run, what wire.FetchKind, limit int) ([]byte, error)
	// Apply hands over a change: gathered until Finish, or at once, as the transport likes.
	Apply(run *Run, op wire.Operation) error
	// Finish ends the run. The first call counts; later ones give ErrClosed.
	Finish(run *Run, action wire.Action) error
	// Fail ends the run as failed.
	Fail(run *Run, failure Failure) error
	// OpenStream turns the answer into a stream: what was applied so far is its head. The run lasts until the stream's end.
	OpenStream(run *Run) (StreamPort, error)
	// ReadStream reads a body of any length as it comes: FetchRequestStream or, behind OpenStream, FetchResponseStream.
	ReadStream(run *Run, what wire.FetchKind) BodyPort
	// Upgradable says whether Upgrade may be called: false where the request is no handshake and nobody else would say so.
	Upgradable(run *Run) bool
	// Upgrade makes the request a WebSocket and waits for the gateway's verdict; then the run lasts until its end. An error
	// leaves the run as it was.
	Upgrade(run *Run, options SocketOptions, events SocketEvents) error
}

// Part is what a reader needs of a run. Some transports have all of it from the start, others ask for it.
type Part uint8

// The parts of a run. Where one is a field's name, it is that field.
const (
	PartMethod Part = iota // of Request, to PartUpgrade
	PartURL                // Scheme and Port
	PartHost
	PartPath
	PartQuery
	PartParams
	PartHeaders
	PartClientIP
	PartTimestamp
	PartLength
	PartID
	PartUpgrade // Websocket
	PartPayload
	PartStatus // of Response, to PartError
	PartResponseHeaders
	PartBodyBytes  // BodyBytes in logging, BodyLength before
	PartDurationMs // at Received
	PartError
)

// SocketOptions is what a plugin wants of a WebSocket.
type SocketOptions struct {
	// Subprotocols that the plugin speaks, the first one first; the first that the client offers is chosen.
	Subprotocols []string
	// MaxMessageBytes is the longest message of the client; 0: the transport's own limit.
	MaxMessageBytes int
}

// Choose is the first sub-protocol that a request offers; "" if that is none.
func (o *SocketOptions) Choose(headers []wire.Header) string {
	for _, name := range o.Subprotocols {
		for _, header := range headers {
			if header.Name != "sec-websocket-protocol" {
				continue
			}
			for offer := range strings.SplitSeq(header.Value, ",") {
				if strings.TrimSpace(offer) == name {
					return name
				}
			}
		}
	}
	return ""
}

// Longest is the longest message of the client, bytes; 1 MiB where the plugin names no limit, as in the other SDK.
func (o *SocketOptions) Longest() int {
	if o.MaxMessageBytes > 0 {
		return o.MaxMessageBytes
	}
	return 1 << 20
}

// Split parts the changes before an upgrade: the headers of the 101, what only another answer in its place would have, and the
// sub-protocol, which is the one that is chosen, else the one that a header names last.
func (o *SocketOptions) Split(ops []wire.Operation, headers []wire.Header) (head, rest []wire.Operation, subprotocol string) {
	for _, op := range ops {
		switch {
		case op.Number == wire.OpSetResponseFullBody || op.Number == wire.OpSetResponseStatus:
			rest = append(rest, op)
		case strings.EqualFold(op.Name, "sec-websocket-protocol"):
			if subprotocol = ""; op.Number != wire.OpRemoveResponseHeader {
				subprotocol = op.Value
			}
			rest = append(rest, op)
		default:
			head = append(head, op)
		}
	}
	if chosen := o.Choose(headers); chosen != "" {
		subprotocol = chosen
	}
	return head, rest, subprotocol
}

// Close codes that the SDK gives, or takes for what has none (RFC 6455, 7.4.1).
const (
	CloseNormal  = 1000
	CloseAway    = 1001
	CloseNoCode  = 1005 // a close frame without a code
	CloseNoFrame = 1006 // no close frame came
	CloseFailed  = 1011
)

// SocketEvents is user code's side of a WebSocket. A transport calls them one at a time, in order, Failed at most once, Closed
// once and last.
type SocketEvents struct {
	Open    func(port SocketPort)
	Message func(port SocketPort, binary bool, data []byte)
	Failed  func(port SocketPort, text string)
	Closed  func(port SocketPort)
}

// SocketPort is a WebSocket on its way out. Safe for concurrent use.
type SocketPort interface {
	Send(binary bool, data []byte) error
	// Close closes it behind what was sent; again it does nothing.
	Close(code uint16, reason string) error
	// Subprotocol is what was chosen; "" if nothing was.
	Subprotocol() string
	// Closed is how it was closed; 0 until it is.
	Closed() (code uint16, reason string)
	Join(room string) error
	Leave(room string) error
	Broadcast(room string, binary bool, data []byte) error
}

// StreamPort is a streamed answer on its way. Finish and Fail of its run cut it as well.
type StreamPort interface {
	// Write waits until the client's pace allows p, and keeps nothing of it.
	Write(p []byte) (int, error)
	// End ends it and its run; again it does nothing.
	End() error
	// Cut ends it so that nobody takes it for a whole one; after the end it does nothing.
	Cut()
}

// BodyPort is a body on its way here. What ends it early is an error of Read, never io.EOF.
type BodyPort interface {
	Read(p []byte) (int, error)
	Close() error
}

// Failure is how a phase failed.
type Failure struct {
	// Code is one of SPEC 15.5.
	Code string
	// Text goes to the gateway's log.
	Text string
	// LogID finds the full story in the worker's log.
	LogID string
}

// Run is one run of a phase.
type Run struct {
	Phase    wire.Phase
	Payload  []byte
	Request  *wire.Snapshot // as it came
	Response *wire.Response // nil in a request filter
	Received time.Time
	// Own is the transport's.
	Own any
}

// Handler is user code's side of a session.
type Handler interface {
	// Mask is the registered phases.
	Mask() uint32
	// Streams says whether the response body filter works piece by piece.
	Streams() bool
	// Run runs a phase's callback and returns when that has returned. It lets no panic out.
	Run(run *Run)
}

// Open registers the phases of a new session. It lets no panic out: a failure is the second result.
type Open func(port Port) (Handler, *Failure)

// Initialize takes a configuration (JSON text, empty for none) and lets no panic out.
type Initialize func(config []byte) error
