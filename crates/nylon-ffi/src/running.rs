//! Whether threads that call into a library are at work, or wait for something.

/// A thread of this process, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tid(#[cfg(target_os = "linux")] libc::pid_t);

#[cfg(target_os = "linux")]
impl Tid {
    pub(crate) fn of_this_thread() -> Self {
        // SAFETY: it takes nothing.
        Self(unsafe { libc::gettid() })
    }

    /// Whether it runs, or would if it had a processor.
    pub(crate) fn runs(self) -> bool {
        // `tid (name) state …`; the name is ours, and has no parenthesis.
        let stat = std::fs::read(format!("/proc/self/task/{}/stat", self.0)).unwrap_or_default();
        stat.iter().rposition(|&byte| byte == b')').is_some_and(|end| stat.get(end + 2) == Some(&b'R'))
    }
}

#[cfg(not(target_os = "linux"))]
impl Tid {
    pub(crate) fn of_this_thread() -> Self {
        Self()
    }

    /// Nobody says.
    pub(crate) fn runs(self) -> bool {
        false
    }
}
