//! The first frame of a session: to whom, and what it says.

use std::time::Instant;

use nylon_plugin::{Call, Phase, PluginError, PluginErrorKind};

use super::{
    NatsSession,
    attempts::{Attempts, full, unavailable},
};
use crate::{
    Clock,
    gateway::{
        encode::{self, Opening},
        group::{Choice, Target},
        known::InFlight,
        lease::Lease,
        talk::Talk,
    },
};

impl NatsSession {
    /// Takes a slot and sends the OPEN.
    pub(super) fn send_open(
        &self,
        call: &mut Call<'_>,
        attempts: &Attempts,
        now: Instant,
    ) -> Result<Box<Talk>, PluginError> {
        let entry = &*self.entry;
        let link = &entry.link;
        if link.is_closing() || !link.is_connected() {
            return Err(PluginError::new(PluginErrorKind::Unavailable, "there is no connection to nats"));
        }
        let worker = match self.target(attempts, now) {
            Target::Worker(worker) => Some(worker),
            Target::Queue => None,
            Target::Full => return Err(full()),
        };
        let options = &entry.shared.options;
        let body = (call.phase == Phase::RequestFilter).then(|| entry.body_to_send(call.exchange)).flatten();
        let body = body.filter(|body| body.len() <= link.max_payload() / 2);
        let lease = Lease::take(link, entry.shared.group.name())?;
        let Some((reply, header)) = lease.first() else {
            return Err(PluginError::new(PluginErrorKind::Unavailable, "the slot was lost"));
        };
        let credit = link.first_credit();
        let mut talk = Box::new(Talk::new(lease, credit, now));
        talk.sent_body = body.is_some();
        let opening = Opening {
            header,
            reply: reply.as_str(),
            entry: &entry.name,
            revision: options.revision.as_ref(),
            credit,
            body: body.as_deref(),
        };
        let mut frame = encode::open(link, call, &opening, now);
        if frame.len() > link.max_payload() {
            talk.whole_open = Some(frame);
            frame = encode::short_open(link, call, &opening, now);
        }
        talk.lease.set_waiting(true);
        let sent = match worker {
            Some(worker) => {
                talk.lease.set_worker(&worker);
                talk.in_flight = Some(InFlight::new(&worker));
                let worker = talk.worker.insert(worker);
                link.post(worker.subject(), Some((reply, header.generation)), frame)
            }
            // Each by itself: a batch would land on one worker.
            None => link.publish(entry.open.clone(), Some(reply), frame),
        };
        sent.map_err(unavailable)?;
        talk.lease.set_restless(true);
        link.stats.opens.add();
        entry.shared.group.opened(Clock::remaining_ms(call.deadline, now));
        Ok(talk)
    }

    pub(super) fn target(&self, attempts: &Attempts, now: Instant) -> Target {
        let now = Clock::ms(now);
        let choice = Choice {
            balance: self.entry.shared.options.balance,
            entry_bit: self.entry.bit,
            now,
            avoid: attempts.avoid.as_deref(),
            configured: self.entry.shared.options.revision.is_some(),
            // The queue group may lead back to whoever has just refused.
            explore: !attempts.no_exploring && attempts.avoid.is_none(),
        };
        let (group, random) = (&self.entry.shared.group, &mut self.entry.link.random.borrow_mut());
        if attempts.is_first()
            && let Some(most) = self.entry.quickness.most()
            && !self.entry.quickness.looks_around(now, random)
            && let Some(worker) = group.pack(&choice, most, random)
        {
            return Target::Worker(worker);
        }
        group.pick(&choice, random)
    }
}
