//! The four phases of a session and the set of them that an entry has registered.

/// One phase of a session (architecture.md, "Words"). The numbers are those of the FFI ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Before the service is asked. May end the request.
    RequestFilter = 1,
    /// When status and headers of the answer are known, before they go out.
    ResponseFilter = 2,
    /// When the complete body of the answer is known (buffered mode).
    ResponseBodyFilter = 3,
    /// After the last byte. Read-only, never awaited.
    Logging = 4,
}

impl Phase {
    /// Every phase in the order in which they run.
    pub const ALL: [Self; 4] = [Self::RequestFilter, Self::ResponseFilter, Self::ResponseBodyFilter, Self::Logging];

    /// The phase with this number on the wire, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::RequestFilter),
            2 => Some(Self::ResponseFilter),
            3 => Some(Self::ResponseBodyFilter),
            4 => Some(Self::Logging),
            _ => None,
        }
    }

    /// Name in configuration, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestFilter => "request_filter",
            Self::ResponseFilter => "response_filter",
            Self::ResponseBodyFilter => "response_body_filter",
            Self::Logging => "logging",
        }
    }
}

/// A set of phases: bit `1 << (phase - 1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseMask(pub u8);

impl PhaseMask {
    /// All four phases: what an entry gets that cannot say which it has (rules §5).
    pub const ALL: Self = Self(0b1111);

    /// Whether the phase is in the set.
    #[must_use]
    pub const fn has(self, phase: Phase) -> bool {
        self.0 & (1 << (phase as u8 - 1)) != 0
    }

    /// The set with the phase added.
    #[must_use]
    pub const fn with(self, phase: Phase) -> Self {
        Self(self.0 | 1 << (phase as u8 - 1))
    }
}

impl FromIterator<Phase> for PhaseMask {
    fn from_iter<I: IntoIterator<Item = Phase>>(phases: I) -> Self {
        phases.into_iter().fold(Self::default(), Self::with)
    }
}

/// How an entry's response body filter wants the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyMode {
    /// The complete body, once (default).
    #[default]
    Buffered,
    /// Piece by piece.
    Streaming,
    /// It cannot say so: whatever the body is, it passes unless the filter reads or sets it (rules §5).
    OnDemand,
}
