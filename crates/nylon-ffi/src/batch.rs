//! Threads that run plugins interrupt none that serves connections: under SCHED_BATCH a thread that wakes waits for its turn. So more
//! has gathered for it by then, and the thread that woke it goes on.

/// Puts this thread under SCHED_BATCH until it is dropped; threads that are started meanwhile stay there.
pub(crate) struct Batch(bool);

impl Batch {
    pub(crate) fn begin() -> Self {
        Self(turn(Policy::Other, Policy::Batch))
    }

    /// For as long as this thread lives.
    pub(crate) fn for_good() {
        std::mem::forget(Self::begin());
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.0 {
            turn(Policy::Batch, Policy::Other);
        }
    }
}

#[cfg(target_os = "linux")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Other = libc::SCHED_OTHER as isize,
    Batch = libc::SCHED_BATCH as isize,
}

/// Whether this thread's policy was `from` and is `to` now. Any other was somebody's wish; and some sandboxes allow no change.
#[cfg(target_os = "linux")]
fn turn(from: Policy, to: Policy) -> bool {
    // SAFETY: it takes nothing but a number.
    let now = unsafe { libc::sched_getscheduler(0) };
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call.
    now == from as i32 && unsafe { libc::sched_setscheduler(0, to as i32, &raw const parameters) } == 0
}

#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy)]
enum Policy {
    Other,
    Batch,
}

#[cfg(not(target_os = "linux"))]
fn turn(_from: Policy, _to: Policy) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn is(policy: Policy) -> bool {
        turn(policy, policy)
    }

    #[test]
    fn what_is_started_meanwhile_stays_and_this_thread_does_not() {
        let batch = Batch::begin();
        assert!(is(Policy::Batch));
        let started = std::thread::spawn(|| is(Policy::Batch));
        drop(batch);
        assert!(started.join().unwrap());
        assert!(is(Policy::Other));
    }

    #[test]
    fn a_policy_that_was_there_before_is_kept() {
        Batch::for_good();
        drop(Batch::begin());
        assert!(is(Policy::Batch));
    }
}
