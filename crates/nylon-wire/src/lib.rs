//! Session frames and their codec, subject names, method numbers. No I/O, no async.
//!
//! Start at [`Frame`]: `Frame::decode` turns one NATS payload into an owned frame whose byte fields are slices of
//! that payload; every frame has `encode`. The gateway writes its two large frames from borrowed data with
//! [`encode_open`] and [`encode_phase`]. `protocol/SPEC.md` is the contract, `protocol/vectors/` the judge.

#[rustfmt::skip] // written by tools/gen_protocol.py
mod constants;
mod credit;
mod error;
#[rustfmt::skip] // written by tools/gen_protocol.py
mod errors;
mod ext;
mod fields;
mod frame;
mod header;
mod limits;
pub mod msgpack;
mod operation;
mod response;
mod snapshot;
pub mod subject;
mod text;

pub use constants::{
    AbortReason, Action, BodyMode, BusyReason, DataKind, FetchKind, FrameType, OperationNumber, Outcome,
    PROTOCOL_VERSION, Phase, WorkerState, failure, method,
};
pub use credit::Credit;
pub use error::DecodeError;
pub use errors::{ErrorCode, Fault};
pub use ext::Ext;
pub use frame::{
    AbortFrame, AcceptFrame, BatchFrame, BeatEntry, BeatFrame, BusyFrame, CloseFrame, CreditFrame, DataFrame,
    ErrorFrame, FetchFrame, First, Frame, OpenFields, OpenFrame, PhaseFields, PhaseFrame, ProbeFrame, ResultFrame,
    Revision, SessionFrames, StreamEndFrame, StreamFrame, Timing, UpgradeFrame, WsClosedFrame, WsErrorFrame, WsOpFrame,
    WsOpenFrame, WsOperation, encode_batch, encode_open, encode_phase, session_frames,
};
pub use header::{Header, SessionId, peek, peek_refused};
pub use limits::Limits;
pub use operation::{Operation, ResponseBody};
pub use response::{ResponseFields, ResponsePart};
pub use snapshot::{Headers, Params, Snapshot, SnapshotFields};
pub use text::Text;

/// Which later phases an entry has registered: bit `phase - 1` is set (rules §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PhaseMask(pub u32);

impl PhaseMask {
    /// All four phases: what a library without a mask gets.
    pub const ALL: PhaseMask = PhaseMask(0b1111);

    /// Whether `phase` is registered.
    pub fn contains(self, phase: Phase) -> bool {
        self.0 & phase.bit() != 0
    }

    /// The same mask with `phase` added.
    #[must_use]
    pub fn with(self, phase: Phase) -> PhaseMask {
        PhaseMask(self.0 | phase.bit())
    }

    /// Whether a phase after `phase` is registered: without one the session is over.
    pub fn any_after(self, phase: Phase) -> bool {
        self.0 & PhaseMask::ALL.0 & !((phase.bit() << 1) - 1) != 0
    }
}

impl Phase {
    /// The bit of this phase in a [`PhaseMask`].
    pub fn bit(self) -> u32 {
        1 << (self.number() - 1)
    }
}
