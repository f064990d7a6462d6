//! The end of an exchange: logging, and what is left of the sessions.

use std::rc::Rc;

use super::{
    Run,
    slot::{Slot, State},
};
use crate::{Call, Entry, Exchange, Link, Phase};

impl Run {
    /// Ends the exchange: hands logging to every entry that has it (also the failed one and the service) and closes
    /// the other sessions. Never waits. `exchange.response` says what the client got.
    pub fn finish(self, exchange: &mut Exchange) {
        self.end(exchange, false);
    }

    /// Ends an exchange whose client has left, at whatever point: phases that still run are cancelled, logging runs with
    /// the error. `what` is for the log, such as "the client left after 512 of 4096 bytes".
    pub fn client_gone(self, exchange: &mut Exchange, what: impl Into<String>) {
        exchange.error = Some(what.into());
        self.end(exchange, true);
    }

    fn end(mut self, exchange: &mut Exchange, client_gone: bool) {
        let chain = Rc::clone(&self.chain);
        // An entry that occurs twice has one session, so it logs once, with the first payload that may.
        for (session, slot) in self.slots.iter_mut().enumerate() {
            let mut places = chain.places().filter(|place| place.session == session);
            match places.find(|place| slot.wants(&self.entries[place.link.entry], &place.link, Phase::Logging)) {
                Some(place) => slot.log(&self.entries[place.link.entry], &place.link, exchange),
                None => slot.close(client_gone),
            }
        }
    }
}

impl Slot {
    fn log(&mut self, entry: &Entry, link: &Link, exchange: &mut Exchange) {
        let mut session = match std::mem::replace(&mut self.state, State::Done) {
            State::Open(session) | State::Failed(_, Some(session)) => session,
            State::Fresh | State::Failed(_, None) => entry.plugin.session(),
            State::Done => return,
        };
        entry.metrics.start(Phase::Logging);
        let payload = link.payload.as_ref().map(|payload| payload.of(exchange));
        let started = std::time::Instant::now();
        session.log(Call {
            phase: Phase::Logging,
            payload: payload.as_deref(),
            started,
            deadline: started + link.timeout,
            headers: &link.headers,
            again: false,
            body_next: false,
            retry: 0,
            exchange,
        });
    }
}
