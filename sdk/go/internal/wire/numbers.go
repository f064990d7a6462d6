package wire

// FrameType says what a frame is; its first element (SPEC 4.9).
type FrameType uint8

// The frame types of version 1.
const (
	TypeOpen      FrameType = 1
	TypeAccept    FrameType = 2
	TypePhase     FrameType = 3
	TypeFetch     FrameType = 4
	TypeData      FrameType = 5
	TypeCredit    FrameType = 6
	TypeResult    FrameType = 7
	TypeStream    FrameType = 8
	TypeStreamEnd FrameType = 9
	TypeUpgrade   FrameType = 10
	TypeWsOpen    FrameType = 11
	TypeWsClosed  FrameType = 12
	TypeWsError   FrameType = 13
	TypeWsOp      FrameType = 14
	TypeAbort     FrameType = 15
	TypeBusy      FrameType = 16
	TypeError     FrameType = 17
	TypeClose     FrameType = 18
	TypeProbe     FrameType = 19
	TypeBeat      FrameType = 20
	TypeBatch     FrameType = 21
)

// Phase is a phase of a session; its bit in a mask is 1 << (phase - 1).
type Phase uint8

// The four phases.
const (
	RequestFilter      Phase = 1
	ResponseFilter     Phase = 2
	ResponseBodyFilter Phase = 3
	Logging            Phase = 4
)

// Bit is the phase's bit in a mask.
func (p Phase) Bit() uint32 { return 1 << (p - 1) }

// AllPhases is the mask of the four phases.
const AllPhases uint32 = 15

// Action is how a phase ends.
type Action uint8

// The actions.
const (
	Next Action = 1
	End  Action = 2
)

// FetchKind is what a FETCH asks for.
type FetchKind uint16

// What can be asked for.
const (
	FetchResponseBody FetchKind = 107
	FetchRequestBody  FetchKind = 200
	FetchConfig       FetchKind = 400
	FetchOpenRest     FetchKind = 401
	// The bodies as they come.
	FetchRequestStream  FetchKind = 402
	FetchResponseStream FetchKind = 403
)

// DataKind is what the bytes of a DATA frame are.
type DataKind uint8

// The kinds of DATA.
const (
	DataBody   DataKind = 0
	DataStream DataKind = 1
	DataText   DataKind = 2
	DataBinary DataKind = 3
)

// BodyMode is how an entry's response body filter wants the body.
type BodyMode uint8

// The body modes.
const (
	Buffered  BodyMode = 0
	Streaming BodyMode = 1
)

// Outcome is how a stream ended.
type Outcome uint8

// The outcomes.
const (
	OutcomeOk    Outcome = 0
	OutcomeAbort Outcome = 1
)

// AbortReason is why a session is over at once.
type AbortReason uint8

// The reasons of ABORT; unknown ones are read as AbortProtocol.
const (
	AbortClientGone      AbortReason = 1
	AbortTimeout         AbortReason = 2
	AbortStale           AbortReason = 3
	AbortGap             AbortReason = 4
	AbortWorkerShutdown  AbortReason = 5
	AbortGatewayShutdown AbortReason = 6
	AbortProtocol        AbortReason = 7
)

// BusyReason is why an open was not taken.
type BusyReason uint8

// The reasons of BUSY; unknown ones are read as BusyFull.
const (
	BusyFull         BusyReason = 1
	BusyDraining     BusyReason = 2
	BusyInitializing BusyReason = 3
)

// WorkerState is the state of a worker's configuration.
type WorkerState uint8

// The states; unknown ones are read as Initializing.
const (
	Ready            WorkerState = 0
	Initializing     WorkerState = 1
	FailedFirst      WorkerState = 2
	FailedKeepingOld WorkerState = 3
)

// Operation numbers (SPEC 13.1); those of the FFI ABI, extensions from 400.
const (
	OpSetResponseHeader    = 100
	OpRemoveResponseHeader = 101
	OpSetResponseStatus    = 102
	OpSetResponseFullBody  = 103
	OpSetRequestHeader     = 400
	OpRemoveRequestHeader  = 401
	OpAddRequestHeader     = 402
	OpAddResponseHeader    = 410
)

// What WS_OP asks for (SPEC 14.4).
const (
	WsClose           = 303
	WsJoinRoom        = 310
	WsLeaveRoom       = 311
	WsBroadcastText   = 312
	WsBroadcastBinary = 313
)

// Codes of ERROR (SPEC 15.5).
const (
	FailHandler      = "handler_error"
	FailBodyTooLarge = "body_too_large"
	FailInit         = "init_failed"
	FailUnknownEntry = "unknown_entry"
	FailNotFound     = "not_found"
	FailProtocol     = "protocol"
	FailNotWebSocket = "not_websocket"
)

// Limits of the protocol.
const (
	// Version is the protocol version of OPEN and BEAT.
	Version = 1
	// MaxDepth is how deep a frame may nest, itself being 1 (SPEC 4.7).
	MaxDepth = 32
	// MaxChunk is the longest piece of a body, bytes (SPEC 12.3).
	MaxChunk = 128 << 10
	// FrameOverhead is what a frame may need besides its piece, bytes.
	FrameOverhead = 4 << 10
	// InitialCredit is the credit of a direction that announces none, bytes (SPEC 12.5).
	InitialCredit = 32 << 10
	// MessageMinCost is the least that a DATA frame costs, bytes.
	MessageMinCost = 256
	// MaxConnectionCredit bounds all grants of a connection, bytes (SPEC 12.7).
	MaxConnectionCredit = 16 << 20
	// MaxBatch is the longest BATCH, bytes (SPEC 4.12).
	MaxBatch = 64 << 10
)
