//! Threads that run plugins interrupt none that serves connections: under SCHED_BATCH a thread that wakes waits for its turn. So more
//! has gathered for it by then, and the thread that woke it goes on. And they ask for no timer more often than every
//! millisecond: Go's monitor would look 5,000 times a second.

use std::{marker::PhantomData, time::Duration};

/// How late the timers of such threads may be. Go's own are that late anyway while it waits for the network.
const SLACK: Duration = Duration::from_millis(1);

/// Puts this thread under SCHED_BATCH, with timers that may be late by [`SLACK`], until it is dropped; threads that are started
/// meanwhile stay there.
pub(crate) struct Batch {
    policy: bool,
    /// What it was before.
    slack: Option<Duration>,
    /// Dropped on the thread that it is about.
    here: PhantomData<*const ()>,
}

impl Batch {
    pub(crate) fn begin() -> Self {
        let slack = slack();
        let raised = slack < SLACK && set_slack(SLACK);
        Self { policy: turn(Policy::Other, Policy::Batch), slack: raised.then_some(slack), here: PhantomData }
    }

    /// For as long as this thread lives.
    pub(crate) fn for_good() {
        std::mem::forget(Self::begin());
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.policy {
            turn(Policy::Batch, Policy::Other);
        }
        if let Some(before) = self.slack {
            set_slack(before);
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

/// How late the timers of this thread may be: 50 µs by default; nothing under a policy that keeps its promises.
#[cfg(target_os = "linux")]
fn slack() -> Duration {
    // SAFETY: it takes nothing.
    let found = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
    Duration::from_nanos(u64::try_from(found).unwrap_or(0))
}

/// Whether that is so now.
#[cfg(target_os = "linux")]
fn set_slack(slack: Duration) -> bool {
    libc::c_ulong::try_from(slack.as_nanos()).is_ok_and(|nanos| {
        // SAFETY: it takes nothing but a number.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanos) == 0 }
    })
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

#[cfg(not(target_os = "linux"))]
fn slack() -> Duration {
    SLACK
}

#[cfg(not(target_os = "linux"))]
fn set_slack(_slack: Duration) -> bool {
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
        let before = slack();
        assert!(before < SLACK);
        let batch = Batch::begin();
        assert!(is(Policy::Batch));
        let started = std::thread::spawn(|| (is(Policy::Batch), slack()));
        drop(batch);
        assert_eq!(started.join().unwrap(), (true, SLACK));
        assert!(is(Policy::Other) && slack() == before);
    }

    #[test]
    fn what_was_there_before_is_kept() {
        Batch::for_good();
        assert!(set_slack(2 * SLACK));
        drop(Batch::begin());
        assert!(is(Policy::Batch) && slack() == 2 * SLACK);
    }
}
