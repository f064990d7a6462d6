//! Why a snapshot was refused.

/// A snapshot that cannot be compiled. The running one stays (architecture.md, "snapshot").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compiling the snapshot: {at}: {problem}")]
pub struct CompileError {
    /// Where: a path into the JSON in the names of the configuration, such as `routes[main].paths[0].rewrite`.
    pub at: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl CompileError {
    pub(crate) fn new(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into() }
    }
}
