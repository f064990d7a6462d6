//! The cores that a thread may run on. Only a thread that waits is bound to one, so that whatever wakes it there need not wake the
//! core as well; what a library does, and the threads that it starts, has all of them.

use std::cell::Cell;

/// The cores of the thread that owns this.
pub(crate) struct Core {
    #[cfg(target_os = "linux")]
    all: Option<libc::cpu_set_t>,
    bound: Cell<bool>,
}

#[cfg(target_os = "linux")]
impl Core {
    pub(crate) fn of_this_thread() -> Self {
        // SAFETY: a set of bits without any is one.
        let mut all: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is as long as it says.
        let got = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut all) };
        Self { all: (got == 0).then_some(all), bound: Cell::new(false) }
    }

    /// The core that this thread is on.
    pub(crate) fn now() -> Option<usize> {
        // SAFETY: it takes nothing.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok()
    }

    /// Wakes up on that core.
    pub(crate) fn stay_on(&self, core: usize) {
        // SAFETY: as above.
        let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        if self.all.is_none() || core >= 8 * size_of::<libc::cpu_set_t>() {
            return;
        }
        // SAFETY: there is such a bit.
        unsafe { libc::CPU_SET(core, &mut one) };
        self.bound.set(set(&one));
    }

    /// May go where it likes.
    pub(crate) fn roam(&self) {
        if self.bound.replace(false)
            && let Some(all) = &self.all
        {
            set(all);
        }
    }
}

/// Whether that is so now. The core may have been taken from this process; then everything stays as it was.
#[cfg(target_os = "linux")]
fn set(cores: &libc::cpu_set_t) -> bool {
    // SAFETY: the set is as long as it says.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const *cores) == 0 }
}

#[cfg(not(target_os = "linux"))]
impl Core {
    pub(crate) fn of_this_thread() -> Self {
        Self { bound: Cell::new(false) }
    }

    pub(crate) fn now() -> Option<usize> {
        None
    }

    pub(crate) fn stay_on(&self, _core: usize) {}

    pub(crate) fn roam(&self) {
        self.bound.set(false);
    }
}
