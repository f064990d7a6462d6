//! The counters of links and workers, as text that Prometheus reads.

use std::fmt::Write;

use nylon_messaging::{
    ConnectionState,
    gateway::{Counter, LinkStats},
};

use super::PreparedNats;
use crate::metrics::escape;

impl PreparedNats {
    /// Adds the counters of links and workers.
    pub(crate) fn metrics(&self, text: &mut String) {
        type Pick = fn(&LinkStats) -> &Counter;
        let counters: [(&str, &str, &str, Pick); 10] = [
            ("nylon_opens_total", "counter", "Sessions opened at workers, retries included.", |link| &link.opens),
            ("nylon_retries_total", "counter", "Opens tried again.", |link| &link.retries),
            ("nylon_retries_refused_total", "counter", "Opens that the retry budget did not allow.", |link| {
                &link.over_budget
            }),
            ("nylon_busy_total", "counter", "BUSY answers of workers.", |link| &link.busy),
            ("nylon_not_accepted_total", "counter", "Opens that nobody accepted in time.", |link| &link.not_accepted),
            ("nylon_no_responders_total", "counter", "Messages that nobody was subscribed to.", |link| {
                &link.no_responders
            }),
            ("nylon_stale_answers_total", "counter", "Answers that came too late.", |link| &link.stale),
            ("nylon_protocol_errors_total", "counter", "Frames not understood or out of order.", |link| {
                &link.protocol_errors
            }),
            ("nylon_slots_in_use", "gauge", "Sessions that are open.", |link| &link.slots_in_use),
            ("nylon_slots_resting", "gauge", "Slots that rest after a timeout.", |link| &link.slots_resting),
        ];
        let all: Vec<_> = self.messaging.iter().map(|known| (known.name.as_str(), known.messaging.links())).collect();
        for (name, kind, help, pick) in counters {
            // Writing to memory cannot fail, here and below.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (messaging, links) in &all {
                let sum: u64 = links.iter().map(|(_, link)| pick(link).get()).sum();
                let _ = writeln!(text, "{name}{{messaging=\"{}\"}} {sum}", escape(messaging));
            }
        }
        let _ = writeln!(
            text,
            "# HELP nylon_nats_connected Whether a gateway thread's connection is up.\n\
             # TYPE nylon_nats_connected gauge"
        );
        for (messaging, links) in &all {
            for (thread, link) in links {
                let up = u8::from(link.connection_state() == ConnectionState::Connected);
                let _ = writeln!(
                    text,
                    "nylon_nats_connected{{messaging=\"{}\",thread=\"{thread}\"}} {up}",
                    escape(messaging)
                );
            }
        }
        let _ = writeln!(
            text,
            "# HELP nylon_ejections_total Workers put aside because they did not answer.\n\
             # TYPE nylon_ejections_total counter\n\
             # HELP nylon_workers Workers with a fresh beat.\n# TYPE nylon_workers gauge"
        );
        for known in &self.messaging {
            let now = nylon_messaging::Clock::now_ms();
            for group in known.messaging.workers().groups() {
                let labels = format!("messaging=\"{}\",group=\"{}\"", escape(&known.name), escape(group.name()));
                let _ = writeln!(text, "nylon_ejections_total{{{labels}}} {}", group.ejections());
                let _ = writeln!(text, "nylon_workers{{{labels}}} {}", group.live(now));
            }
        }
    }
}
