//! What follows an open that was not run: another one, or the end (rules §3).

use std::time::Duration;

use nylon_plugin::{Call, PluginError, PluginErrorKind};
use nylon_wire::BusyReason;

use super::{NatsSession, attempts::Attempts};
use crate::{
    Clock,
    gateway::{
        options::Balance,
        slots::{Event, Signal},
        talk::Talk,
        waiting::NotRun,
    },
};

/// After BUSY(initializing) an open is tried again this late, or as soon as a worker says that it is ready.
const HOLD_MS: u64 = 100;
/// A worker that is behind is left alone for as long as it says, but no longer, so that it never runs out of work.
const FULL_MAX: Duration = Duration::from_millis(10);
/// How often a held open looks at the worker table. Milliseconds.
const HOLD_LOOK_MS: u64 = 10;

impl NatsSession {
    /// Decides what follows an open that was not run (rules §3). `Ok`: try again.
    pub(super) async fn after(
        &self,
        talk: Box<Talk>,
        why: NotRun,
        call: &Call<'_>,
        attempts: &mut Attempts,
    ) -> Result<(), PluginError> {
        let group = &self.entry.shared.group;
        let stats = &self.entry.link.stats;
        attempts.avoid = talk.worker.clone();
        match why {
            NotRun::NoResponders { certain: true } => {
                // A worker that is gone is out of the table now: the next choice is another one. Nobody behind the
                // queue group is final, unless workers are heard of (they drain, or only the direct way is open).
                let direct = self.entry.shared.options.balance != Balance::Queue;
                let elsewhere = talk.worker.is_some() || (direct && group.any_fit(self.entry.bit, Clock::now_ms()));
                attempts.no_exploring = true;
                if elsewhere && attempts.uncounted() {
                    stats.retries.add();
                    return Ok(());
                }
                if attempts.holding {
                    return self.hold(talk, call, HOLD_MS).await;
                }
                Err(PluginError::new(PluginErrorKind::Unavailable, "no worker of the group is there"))
            }
            NotRun::NoResponders { certain: false } | NotRun::NotAccepted => {
                if attempts.counted >= call.retry {
                    return Err(PluginError::new(PluginErrorKind::Timeout, "no worker accepted the open in time"));
                }
                self.count(attempts)
            }
            NotRun::Busy { worker, reason, retry_after } => {
                let known = group.worker(&worker, Clock::now_ms()).ok();
                attempts.avoid = known.or(attempts.avoid.take());
                let mut error = PluginError::new(PluginErrorKind::Busy, format!("worker {worker} is busy: {reason:?}"));
                error.retry_after = retry_after.or(error.retry_after);
                if let (BusyReason::Full, Some(worker), Some(pause)) = (reason, &attempts.avoid, retry_after) {
                    let pause = u64::try_from(pause.min(FULL_MAX).as_millis()).unwrap_or_default();
                    worker.set_full(Clock::now_ms() + pause);
                }
                match reason {
                    BusyReason::Full if attempts.counted >= call.retry.max(1) => Err(error),
                    BusyReason::Full => self.count(attempts),
                    BusyReason::Draining => {
                        if let Some(worker) = &attempts.avoid {
                            worker.set_draining();
                        }
                        stats.retries.add();
                        if attempts.uncounted() { Ok(()) } else { Err(error) }
                    }
                    BusyReason::Initializing => {
                        stats.retries.add();
                        attempts.holding = true;
                        let pause = retry_after.map_or(HOLD_MS, |pause| {
                            u64::try_from(pause.as_millis()).unwrap_or(HOLD_MS).clamp(HOLD_LOOK_MS, 1_000)
                        });
                        self.hold(talk, call, pause).await
                    }
                }
            }
        }
    }

    fn count(&self, attempts: &mut Attempts) -> Result<(), PluginError> {
        let stats = &self.entry.link.stats;
        if !self.entry.shared.group.take_retry() {
            stats.over_budget.add();
            return Err(PluginError::new(PluginErrorKind::Busy, "the group's retry budget is used up"));
        }
        attempts.counted += 1;
        stats.retries.add();
        Ok(())
    }

    /// Waits until a worker of the group is ready, or it is time to ask again (rules §8).
    async fn hold(&self, mut talk: Box<Talk>, call: &Call<'_>, pause_ms: u64) -> Result<(), PluginError> {
        let deadline = Clock::ms(call.deadline);
        let begun = Clock::now_ms();
        let again = begun + pause_ms;
        talk.in_flight = None;
        loop {
            let now = Clock::now_ms();
            if now >= deadline {
                return Err(PluginError::new(PluginErrorKind::Unavailable, "no worker of the group became ready"));
            }
            // Beats may say *ready* for a moment longer than it is true.
            let ready = now >= begun + HOLD_LOOK_MS && self.entry.shared.group.any_fit(self.entry.bit, now);
            if now >= again || ready {
                return Ok(());
            }
            match talk.lease.next((now + HOLD_LOOK_MS).min(deadline)).await {
                Event::Signal(Signal::Due | Signal::NoResponders) | Event::Frame(_) => {}
                Event::Signal(_) => {
                    return Err(PluginError::new(PluginErrorKind::Unavailable, "the connection to nats is lost"));
                }
            }
        }
    }
}
