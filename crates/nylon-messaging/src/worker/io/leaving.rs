//! How a worker leaves: no new sessions, no open lost, the old ones finished.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{timeout, timeout_at},
};

use super::Io;
use crate::{subscription::Subscription, worker::core::Core};

impl Io {
    /// Serves an open subject until told to leave, then leaves without losing an open.
    ///
    /// The client forgets a subscription together with its UNSUB, and drops what the server had sent before it read that.
    /// An UNSUB *after n messages* is exact on both sides. So: after a number that a busy subject reaches at once; if it is
    /// not reached, after one more; if not even that comes, at once.
    pub(super) async fn listen_for_opens(io: Arc<Self>, mut subscriber: Subscription, leave: Arc<Notify>) {
        let mut count = 0;
        loop {
            tokio::select! {
                biased;
                message = subscriber.next() => match message {
                    Some(message) => count += io.batch(message, &mut subscriber),
                    None => return,
                },
                () = leave.notified() => break,
            }
        }
        for more in [64, 1] {
            if subscriber.unsubscribe_after(count + more).await.is_err() {
                return;
            }
            let ended = timeout(Duration::from_millis(150), async {
                while let Some(message) = subscriber.next().await {
                    count += io.batch(message, &mut subscriber);
                }
            });
            if ended.await.is_ok() {
                return;
            }
        }
        // Refused only by a client that has ended.
        let _ = subscriber.unsubscribe().await;
        while let Some(message) = subscriber.next().await {
            io.batch(message, &mut subscriber);
        }
    }

    pub(super) async fn until_leaving(&self) {
        while !self.drain.load(SeqCst) && !self.stop.load(SeqCst) {
            self.leave.notified().await;
        }
    }

    /// Waits until `done`, no longer than `until`, or until everything has to stop.
    async fn wait_for(&self, until: Instant, done: impl Fn(&Core) -> bool + Send) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.stop.load(SeqCst) || done(&self.core()) {
                    return;
                }
                changed.await;
            }
        };
        // Over time is what the callers go on from.
        let _ = timeout_at(until.into(), wait).await;
    }

    /// Leaves as rules §8 and sdk-api §2.8 say: no new sessions, finish the old ones, abort the rest, Shutdown.
    pub(super) async fn drain(&self, opens: Vec<(JoinHandle<()>, Arc<Notify>)>) {
        let until = Instant::now() + self.shared.options.drain_timeout;
        {
            let mut core = self.core();
            core.leave();
            core.beat(Instant::now());
        }
        self.settle();
        for (_, leave) in &opens {
            leave.notify_one();
        }
        for (task, _) in opens {
            if timeout_at(until.into(), task).await.is_err() {
                tracing::warn!("draining: an open subscription did not end in time");
            }
        }
        self.core().shut_the_door();
        self.wait_for(until, Core::is_idle).await;
        self.core().abort_all();
        self.settle();
        // Handlers that were just cancelled may still return.
        self.wait_for(Instant::now() + Duration::from_secs(1), Core::is_idle).await;
        let now = Instant::now();
        self.core().shut_down(now);
        self.settle();
        self.wait_for(now + self.shared.options.shutdown_timeout, Core::shutdown_done).await;
        if !self.core().shutdown_done() {
            tracing::warn!("draining: the shutdown handler did not end in time");
        }
    }
}
