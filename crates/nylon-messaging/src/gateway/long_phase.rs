//! What a phase without a deadline, a stream's or a WebSocket's, has in place of one: it looks whether its worker is
//! still there, and asks one that has long been silent, so that it sees what it has missed.

use std::rc::Rc;

use nylon_plugin::{PluginError, PluginErrorKind};
use nylon_wire::{AbortReason, Ext, ProbeFrame};

use super::{entry::Entry, slots::Signal, talk::Talk};
use crate::{Clock, connection::SETTLING_MS};

/// How often it looks whether its worker is there. Milliseconds.
const LOOK_EVERY_MS: u64 = 250;
/// After how long a silence of the worker it asks. Milliseconds.
const PROBE_EVERY_MS: u64 = 5_000;

/// A phase that lasts as long as its stream or WebSocket.
pub(super) struct LongPhase {
    pub(super) entry: Rc<Entry>,
    /// What it is called in messages.
    what: &'static str,
    probe_at: u64,
    /// Not before then after a reconnect.
    settled_at: u64,
}

impl LongPhase {
    pub(super) fn new(entry: Rc<Entry>, talk: &mut Talk, what: &'static str) -> Self {
        talk.lease.set_restless(true);
        talk.probed = true;
        Self { entry, what, probe_at: Clock::now_ms() + PROBE_EVERY_MS, settled_at: 0 }
    }

    /// When it wants to hear of the time, by our clock in milliseconds.
    pub(super) fn next_look() -> u64 {
        Clock::now_ms() + LOOK_EVERY_MS
    }

    /// The worker has said something that is no PROBE.
    pub(super) fn heard(&mut self) {
        self.probe_at = Clock::now_ms() + PROBE_EVERY_MS;
    }

    /// The worker is at this number: what is missing before it is lost (SPEC 14.6).
    pub(super) fn probed(talk: &Talk, seq: u32) -> Result<(), PluginError> {
        if seq == talk.seq_in {
            return Ok(());
        }
        let message = format!("frame {} is due, the worker is at {seq}", talk.seq_in);
        Err(talk.fail(PluginErrorKind::Lost, AbortReason::Gap, message))
    }

    /// What a signal means for it; [`Signal::Due`] is [`LongPhase::look`].
    pub(super) fn signal(&mut self, talk: &Talk, signal: Signal) -> Result<(), PluginError> {
        match signal {
            Signal::Shutdown => {
                Err(talk.fail(PluginErrorKind::Lost, AbortReason::GatewayShutdown, "the gateway shuts down"))
            }
            // It goes on when the connection is back, unless something is missing then (rules §2).
            Signal::Disconnected => {
                self.settled_at = Clock::now_ms() + SETTLING_MS;
                self.probe_at = self.settled_at;
                Ok(())
            }
            Signal::Rubbish => {
                Err(talk.protocol(format!("a message for this {} is no frame, or there are too many", self.what)))
            }
            Signal::NoResponders => {
                if let Some(worker) = &talk.worker {
                    self.entry.shared.group.gone(worker, Clock::now_ms());
                }
                Err(PluginError::new(PluginErrorKind::Lost, "the worker is gone: nobody listens on its subject"))
            }
            Signal::Due => self.look(talk),
        }
    }

    /// Looks whether the worker is there.
    pub(super) fn look(&mut self, talk: &Talk) -> Result<(), PluginError> {
        let (now, link) = (Clock::now_ms(), &talk.lease.link);
        if !link.is_connected() {
            self.settled_at = now + SETTLING_MS;
        }
        if now < self.settled_at {
            return Ok(());
        }
        if talk.worker.as_ref().is_some_and(|worker| self.entry.shared.group.lost(worker, now)) {
            return Err(PluginError::new(PluginErrorKind::Lost, "the worker is gone or silent"));
        }
        if now >= self.probe_at {
            self.probe_at = now + PROBE_EVERY_MS;
            if let (Some(worker), Some((reply, header))) = (&talk.worker, talk.lease.probe()) {
                let frame = link.encode(|out| ProbeFrame { header, ext: Ext::empty() }.encode(out));
                // One that is not sent is one later.
                if link.post(worker.subject(), Some((reply, header.generation)), frame).is_ok() {
                    link.stats.probes.add();
                }
            }
        }
        Ok(())
    }
}
