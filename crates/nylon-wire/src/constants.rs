//! Numbers of the protocol. Written by tools/gen_protocol.py from protocol/messages.toml; do not edit.

/// The version in OPEN and BEAT, and the `v1` of the subjects.
pub const PROTOCOL_VERSION: u64 = 1;

/// What a frame is; its first element (SPEC 10 to 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// OPEN, gateway to worker: a session and its first phase.
    Open = 1,
    /// ACCEPT, worker to gateway: handed to user code.
    Accept = 2,
    /// PHASE, gateway to worker: a later phase.
    Phase = 3,
    /// FETCH, worker to gateway: asks for a body, the config or the rest of an OPEN.
    Fetch = 4,
    /// DATA, both: a piece of a body, stream or WebSocket message.
    Data = 5,
    /// CREDIT, both: more may be sent.
    Credit = 6,
    /// RESULT, worker to gateway: operations and action end a phase.
    Result = 7,
    /// STREAM, worker to gateway: the response body is streamed.
    Stream = 8,
    /// STREAM_END, worker to gateway: the stream is over.
    StreamEnd = 9,
    /// UPGRADE, worker to gateway: make the request a WebSocket.
    Upgrade = 10,
    /// WS_OPEN, gateway to worker: the WebSocket is open.
    WsOpen = 11,
    /// WS_CLOSED, gateway to worker: the WebSocket is closed.
    WsClosed = 12,
    /// WS_ERROR, gateway to worker: the WebSocket failed.
    WsError = 13,
    /// WS_OP, worker to gateway: close, rooms, broadcast.
    WsOp = 14,
    /// ABORT, both: the session is over at once.
    Abort = 15,
    /// BUSY, worker to gateway: not run, try another.
    Busy = 16,
    /// ERROR, both: a call or the phase failed.
    Error = 17,
    /// CLOSE, gateway to worker: no further phase will come.
    Close = 18,
    /// PROBE, both: is anyone there? Not answered.
    Probe = 19,
    /// BEAT, worker to gateways: load and state. No session frame.
    Beat = 20,
    /// BATCH, both: several session frames in one message. No session frame.
    Batch = 21,
}

impl FrameType {
    /// Every value, in order of its number.
    pub const ALL: [FrameType; 21] = [FrameType::Open, FrameType::Accept, FrameType::Phase, FrameType::Fetch, FrameType::Data, FrameType::Credit, FrameType::Result, FrameType::Stream, FrameType::StreamEnd, FrameType::Upgrade, FrameType::WsOpen, FrameType::WsClosed, FrameType::WsError, FrameType::WsOp, FrameType::Abort, FrameType::Busy, FrameType::Error, FrameType::Close, FrameType::Probe, FrameType::Beat, FrameType::Batch];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<FrameType> {
        Some(match number {
            1 => FrameType::Open,
            2 => FrameType::Accept,
            3 => FrameType::Phase,
            4 => FrameType::Fetch,
            5 => FrameType::Data,
            6 => FrameType::Credit,
            7 => FrameType::Result,
            8 => FrameType::Stream,
            9 => FrameType::StreamEnd,
            10 => FrameType::Upgrade,
            11 => FrameType::WsOpen,
            12 => FrameType::WsClosed,
            13 => FrameType::WsError,
            14 => FrameType::WsOp,
            15 => FrameType::Abort,
            16 => FrameType::Busy,
            17 => FrameType::Error,
            18 => FrameType::Close,
            19 => FrameType::Probe,
            20 => FrameType::Beat,
            21 => FrameType::Batch,
            _ => return None,
        })
    }
}

/// A phase of a session. Its bit in a mask is `1 << (number - 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Before the service is asked.
    RequestFilter = 1,
    /// Before the response head goes out.
    ResponseFilter = 2,
    /// The response body.
    ResponseBodyFilter = 3,
    /// After the last byte.
    Logging = 4,
}

impl Phase {
    /// Every value, in order of its number.
    pub const ALL: [Phase; 4] = [Phase::RequestFilter, Phase::ResponseFilter, Phase::ResponseBodyFilter, Phase::Logging];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<Phase> {
        Some(match number {
            1 => Phase::RequestFilter,
            2 => Phase::ResponseFilter,
            3 => Phase::ResponseBodyFilter,
            4 => Phase::Logging,
            _ => return None,
        })
    }
}

/// How a phase ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Action {
    /// Go on.
    Next = 1,
    /// Answer at once; request filter only.
    End = 2,
}

impl Action {
    /// Every value, in order of its number.
    pub const ALL: [Action; 2] = [Action::Next, Action::End];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<Action> {
        Some(match number {
            1 => Action::Next,
            2 => Action::End,
            _ => return None,
        })
    }
}

/// What a FETCH asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum FetchKind {
    /// The response body.
    ResponseBody = 107,
    /// The request body.
    RequestBody = 200,
    /// The text of the plugin's config revision.
    Config = 400,
    /// The whole OPEN frame that did not fit.
    OpenRest = 401,
    /// The request body as it comes, of any length.
    RequestStream = 402,
    /// The response body as it comes, of any length.
    ResponseStream = 403,
}

impl FetchKind {
    /// Every value, in order of its number.
    pub const ALL: [FetchKind; 6] = [FetchKind::ResponseBody, FetchKind::RequestBody, FetchKind::Config, FetchKind::OpenRest, FetchKind::RequestStream, FetchKind::ResponseStream];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<FetchKind> {
        Some(match number {
            107 => FetchKind::ResponseBody,
            200 => FetchKind::RequestBody,
            400 => FetchKind::Config,
            401 => FetchKind::OpenRest,
            402 => FetchKind::RequestStream,
            403 => FetchKind::ResponseStream,
            _ => return None,
        })
    }
}

/// What the bytes of a DATA frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DataKind {
    /// A body, or the answer to a FETCH.
    Body = 0,
    /// A streamed response body.
    Stream = 1,
    /// A WebSocket text message.
    Text = 2,
    /// A WebSocket binary message.
    Binary = 3,
}

impl DataKind {
    /// Every value, in order of its number.
    pub const ALL: [DataKind; 4] = [DataKind::Body, DataKind::Stream, DataKind::Text, DataKind::Binary];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<DataKind> {
        Some(match number {
            0 => DataKind::Body,
            1 => DataKind::Stream,
            2 => DataKind::Text,
            3 => DataKind::Binary,
            _ => return None,
        })
    }
}

/// How an entry's response body filter wants the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BodyMode {
    /// Whole.
    Buffered = 0,
    /// Piece by piece.
    Streaming = 1,
}

impl BodyMode {
    /// Every value, in order of its number.
    pub const ALL: [BodyMode; 2] = [BodyMode::Buffered, BodyMode::Streaming];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<BodyMode> {
        Some(match number {
            0 => BodyMode::Buffered,
            1 => BodyMode::Streaming,
            _ => return None,
        })
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Complete.
    Ok = 0,
    /// Cut short: the gateway must not let it look whole.
    Abort = 1,
}

impl Outcome {
    /// Every value, in order of its number.
    pub const ALL: [Outcome; 2] = [Outcome::Ok, Outcome::Abort];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<Outcome> {
        Some(match number {
            0 => Outcome::Ok,
            1 => Outcome::Abort,
            _ => return None,
        })
    }
}

/// Why a session is over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AbortReason {
    /// The HTTP client left.
    ClientGone = 1,
    /// The phase is over its deadline.
    Timeout = 2,
    /// The answer came for a slot that is used otherwise now.
    Stale = 3,
    /// A sequence number is missing.
    Gap = 4,
    /// The worker ends.
    WorkerShutdown = 5,
    /// The gateway ends.
    GatewayShutdown = 6,
    /// The peer's frame was not understood. Unknown reasons are read as this.
    Protocol = 7,
}

impl AbortReason {
    /// Every value, in order of its number.
    pub const ALL: [AbortReason; 7] = [AbortReason::ClientGone, AbortReason::Timeout, AbortReason::Stale, AbortReason::Gap, AbortReason::WorkerShutdown, AbortReason::GatewayShutdown, AbortReason::Protocol];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; one that v1 does not know is read as `Protocol`.
    pub const fn from_number(number: u64) -> AbortReason {
        match number {
            1 => AbortReason::ClientGone,
            2 => AbortReason::Timeout,
            3 => AbortReason::Stale,
            4 => AbortReason::Gap,
            5 => AbortReason::WorkerShutdown,
            6 => AbortReason::GatewayShutdown,
            _ => AbortReason::Protocol,
        }
    }
}

/// Why an open was not taken. It has certainly not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BusyReason {
    /// At its limit. Unknown reasons are read as this.
    Full = 1,
    /// Shutting down; always retryable, not counted.
    Draining = 2,
    /// First Initialize still runs; always retryable, not counted.
    Initializing = 3,
}

impl BusyReason {
    /// Every value, in order of its number.
    pub const ALL: [BusyReason; 3] = [BusyReason::Full, BusyReason::Draining, BusyReason::Initializing];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; one that v1 does not know is read as `Full`.
    pub const fn from_number(number: u64) -> BusyReason {
        match number {
            2 => BusyReason::Draining,
            3 => BusyReason::Initializing,
            _ => BusyReason::Full,
        }
    }
}

/// State of a worker's configuration, in its beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WorkerState {
    /// Serves.
    Ready = 0,
    /// Not ready yet. Unknown states are read as this.
    Initializing = 1,
    /// The first Initialize failed: not ready.
    FailedFirst = 2,
    /// A later Initialize failed: the old revision serves on.
    FailedKeepingOld = 3,
}

impl WorkerState {
    /// Every value, in order of its number.
    pub const ALL: [WorkerState; 4] = [WorkerState::Ready, WorkerState::Initializing, WorkerState::FailedFirst, WorkerState::FailedKeepingOld];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From the number on the wire; one that v1 does not know is read as `Initializing`.
    pub const fn from_number(number: u64) -> WorkerState {
        match number {
            0 => WorkerState::Ready,
            2 => WorkerState::FailedFirst,
            3 => WorkerState::FailedKeepingOld,
            _ => WorkerState::Initializing,
        }
    }
}

/// Operations that act in v1. Those of `method` that are no operation, and the reserved ones, are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum OperationNumber {
    /// name, value: replaces every spelling and repeat.
    SetResponseHeader = 100,
    /// name.
    RemoveResponseHeader = 101,
    /// status.
    SetResponseStatus = 102,
    /// bytes; or nil, id, total: the bytes came in DATA frames with that id.
    SetResponseFullBody = 103,
    /// name, value (extension).
    SetRequestHeader = 400,
    /// name (extension).
    RemoveRequestHeader = 401,
    /// name, value (extension).
    AddRequestHeader = 402,
    /// name, value: keeps what is there (extension).
    AddResponseHeader = 410,
}

impl OperationNumber {
    /// Every value, in order of its number.
    pub const ALL: [OperationNumber; 8] = [OperationNumber::SetResponseHeader, OperationNumber::RemoveResponseHeader, OperationNumber::SetResponseStatus, OperationNumber::SetResponseFullBody, OperationNumber::SetRequestHeader, OperationNumber::RemoveRequestHeader, OperationNumber::AddRequestHeader, OperationNumber::AddResponseHeader];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// From the number on the wire; none if v1 does not know it.
    pub const fn from_number(number: u64) -> Option<OperationNumber> {
        Some(match number {
            100 => OperationNumber::SetResponseHeader,
            101 => OperationNumber::RemoveResponseHeader,
            102 => OperationNumber::SetResponseStatus,
            103 => OperationNumber::SetResponseFullBody,
            400 => OperationNumber::SetRequestHeader,
            401 => OperationNumber::RemoveRequestHeader,
            402 => OperationNumber::AddRequestHeader,
            410 => OperationNumber::AddResponseHeader,
            _ => return None,
        })
    }
}

/// Method numbers of the FFI ABI.
pub mod method {
    /// `next`
    pub const NEXT: u32 = 1;
    /// `end`
    pub const END: u32 = 2;
    /// `get_payload`
    pub const GET_PAYLOAD: u32 = 3;
    /// `set_response_header`
    pub const SET_RESPONSE_HEADER: u32 = 100;
    /// `remove_response_header`
    pub const REMOVE_RESPONSE_HEADER: u32 = 101;
    /// `set_response_status`
    pub const SET_RESPONSE_STATUS: u32 = 102;
    /// `set_response_full_body`
    pub const SET_RESPONSE_FULL_BODY: u32 = 103;
    /// `set_response_stream_data`
    pub const SET_RESPONSE_STREAM_DATA: u32 = 104;
    /// `set_response_stream_end`
    pub const SET_RESPONSE_STREAM_END: u32 = 105;
    /// `set_response_stream_header`
    pub const SET_RESPONSE_STREAM_HEADER: u32 = 106;
    /// `read_response_full_body`
    pub const READ_RESPONSE_FULL_BODY: u32 = 107;
    /// `read_response_status`
    pub const READ_RESPONSE_STATUS: u32 = 108;
    /// `read_response_bytes`
    pub const READ_RESPONSE_BYTES: u32 = 109;
    /// `read_response_headers`
    pub const READ_RESPONSE_HEADERS: u32 = 110;
    /// `read_response_duration`
    pub const READ_RESPONSE_DURATION: u32 = 111;
    /// `read_response_error`
    pub const READ_RESPONSE_ERROR: u32 = 112;
    /// `read_request_full_body`
    pub const READ_REQUEST_FULL_BODY: u32 = 200;
    /// `read_request_header`
    pub const READ_REQUEST_HEADER: u32 = 201;
    /// `read_request_headers`
    pub const READ_REQUEST_HEADERS: u32 = 202;
    /// `read_request_url`
    pub const READ_REQUEST_URL: u32 = 203;
    /// `read_request_path`
    pub const READ_REQUEST_PATH: u32 = 204;
    /// `read_request_query`
    pub const READ_REQUEST_QUERY: u32 = 205;
    /// `read_request_params`
    pub const READ_REQUEST_PARAMS: u32 = 206;
    /// `read_request_host`
    pub const READ_REQUEST_HOST: u32 = 207;
    /// `read_request_client_ip`
    pub const READ_REQUEST_CLIENT_IP: u32 = 208;
    /// `read_request_method`
    pub const READ_REQUEST_METHOD: u32 = 209;
    /// `read_request_bytes`
    pub const READ_REQUEST_BYTES: u32 = 210;
    /// `read_request_timestamp`
    pub const READ_REQUEST_TIMESTAMP: u32 = 211;
    /// `websocket_upgrade`
    pub const WEBSOCKET_UPGRADE: u32 = 300;
    /// `websocket_send_text`
    pub const WEBSOCKET_SEND_TEXT: u32 = 301;
    /// `websocket_send_binary`
    pub const WEBSOCKET_SEND_BINARY: u32 = 302;
    /// `websocket_close`
    pub const WEBSOCKET_CLOSE: u32 = 303;
    /// `websocket_join_room`
    pub const WEBSOCKET_JOIN_ROOM: u32 = 310;
    /// `websocket_leave_room`
    pub const WEBSOCKET_LEAVE_ROOM: u32 = 311;
    /// `websocket_broadcast_room_text`
    pub const WEBSOCKET_BROADCAST_ROOM_TEXT: u32 = 312;
    /// `websocket_broadcast_room_binary`
    pub const WEBSOCKET_BROADCAST_ROOM_BINARY: u32 = 313;
    /// `websocket_on_open`
    pub const WEBSOCKET_ON_OPEN: u32 = 350;
    /// `websocket_on_message_text`
    pub const WEBSOCKET_ON_MESSAGE_TEXT: u32 = 351;
    /// `websocket_on_message_binary`
    pub const WEBSOCKET_ON_MESSAGE_BINARY: u32 = 352;
    /// `websocket_on_close`
    pub const WEBSOCKET_ON_CLOSE: u32 = 353;
    /// `websocket_on_error`
    pub const WEBSOCKET_ON_ERROR: u32 = 354;
}

/// Codes of an ERROR frame. A code that is not known is treated as `handler_error`.
pub mod failure {
    /// User code raised: 500 `PLUGIN_ERROR`.
    pub const HANDLER_ERROR: &str = "handler_error";
    /// The body asked for is beyond the limit.
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    /// The first Initialize failed: 503 `PLUGIN_UNAVAILABLE`.
    pub const INIT_FAILED: &str = "init_failed";
    /// The worker has no such entry: 500 `PLUGIN_ERROR`.
    pub const UNKNOWN_ENTRY: &str = "unknown_entry";
    /// What a FETCH asked for does not exist.
    pub const NOT_FOUND: &str = "not_found";
    /// The peer's frame was not understood: 502 `PLUGIN_PROTOCOL`.
    pub const PROTOCOL: &str = "protocol";
    /// UPGRADE for a request that is none.
    pub const NOT_WEBSOCKET: &str = "not_websocket";
}
