//! The logging phase, which nobody waits for.

use std::time::Duration;

use nylon_plugin::{Call, PluginError};
use nylon_wire::SessionId;

use super::{
    NatsSession,
    attempts::{Attempts, unavailable},
};
use crate::gateway::{
    encode::{self, Opening},
    group::Target,
    waiting::Wait,
};

/// How long a logging open is attended so that its worker may fetch the configuration.
const ATTENDED: Duration = Duration::from_secs(1);

impl NatsSession {
    /// Opens a session for logging that nobody waits for.
    fn open_logging(&self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let entry = &*self.entry;
        let link = &entry.link;
        let target = self.target(&Attempts::default(), call.started);
        let options = &entry.shared.options;
        // A worker without the configuration must be able to fetch it: one open at a time stays for that.
        let may_fetch = options.config.is_some()
            && match &target {
                Target::Worker(worker) => !worker.serves(options.revision.as_ref()),
                Target::Queue | Target::Full => true,
            };
        if may_fetch && !entry.attending.replace(true) {
            return self.open_logging_attended(call);
        }
        let session = link.random.borrow_mut().session().unwrap_or(SessionId([0; 16]));
        let opening = Opening {
            header: nylon_wire::Header { session, ..Default::default() },
            reply: &link.no_reply,
            entry: &entry.name,
            revision: options.revision.as_ref().filter(|_| options.config.is_some()),
            credit: 0,
            body: None,
        };
        let frame = encode::open(link, call, &opening, call.started);
        let sent = match &target {
            Target::Worker(worker) => link.post(worker.subject(), None, frame),
            Target::Queue | Target::Full => link.publish(entry.open.clone(), None, frame),
        };
        sent.map_err(unavailable)?;
        link.stats.opens.add();
        Ok(())
    }

    /// The same for a worker that may have to fetch the configuration first: the slot is kept for that while.
    fn open_logging_attended(&self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let sent = self.send_open(call, &Attempts::default(), call.started);
        let mut talk = sent.inspect_err(|_| self.entry.attending.set(false))?;
        talk.silent = true;
        let wait = Wait::new(call.phase, call.started, call.deadline.min(call.started + ATTENDED), None);
        let mut session = Self::new(self.entry.clone());
        tokio::task::spawn_local(async move {
            // Whatever ends this, nobody waits for it.
            let _ = session.answer(&mut talk, None, wait).await;
            session.entry.attending.set(false);
        });
        Ok(())
    }

    pub(super) fn logged(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let open = self.take_talk().filter(|_| !self.over);
        match open {
            Some(talk) => {
                let Some((_, header)) = talk.lease.next_phase() else { return Ok(()) };
                let Some(worker) = &talk.worker else { return Ok(()) };
                let link = &self.entry.link;
                let frame = encode::phase(link, call, header, link.max_payload(), call.started);
                link.post(worker.subject(), None, frame).map_err(unavailable)
            }
            None => self.open_logging(call),
        }
    }
}
