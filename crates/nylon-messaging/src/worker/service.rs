//! What `nats micro ls|info|stats` sees: the answers of the NATS service protocol (ADR-32), written by hand.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nylon_wire::{WorkerState, subject};
use serde_json::{Value, json};

use super::{WorkerError, core::Core, shared::Shared};

/// The three questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Ping,
    Info,
    Stats,
}

/// What does not change while the worker lives.
pub(super) struct Service {
    name: String,
    started: String,
    /// Name and subject of each entry.
    endpoints: Vec<(String, String)>,
}

impl Service {
    pub fn new(shared: &Shared) -> Result<Self, WorkerError> {
        let options = &shared.options;
        let wrap = |what: &str| {
            let what = what.to_owned();
            move |cause| WorkerError::Name { what, cause }
        };
        let endpoints = options.entries.iter().map(|entry| {
            let name = subject::service_name(&entry.name).map_err(wrap(&entry.name))?;
            Ok((name, subject::open(&options.prefix, &options.group, &entry.name).map_err(wrap(&entry.name))?))
        });
        Ok(Self {
            name: subject::service_name(&options.group).map_err(wrap(&options.group))?,
            started: rfc3339(SystemTime::now()),
            endpoints: endpoints.collect::<Result<_, WorkerError>>()?,
        })
    }

    /// The subjects that are asked on.
    pub fn subjects(&self, shared: &Shared) -> Vec<(String, Question)> {
        let mut subjects = Vec::with_capacity(9);
        for (verb, question) in [("PING", Question::Ping), ("INFO", Question::Info), ("STATS", Question::Stats)] {
            subjects.push((format!("$SRV.{verb}"), question));
            subjects.push((format!("$SRV.{verb}.{}", self.name), question));
            subjects.push((format!("$SRV.{verb}.{}.{}", self.name, shared.id), question));
        }
        subjects
    }

    pub fn answer(&self, question: Question, core: &Core) -> Bytes {
        let options = &core.shared.options;
        let kind = match question {
            Question::Ping => "ping",
            Question::Info => "info",
            Question::Stats => "stats",
        };
        let mut answer = json!({
            "type": format!("io.nats.micro.v1.{kind}_response"),
            "name": self.name,
            "id": core.shared.id,
            "version": options.version,
            "metadata": options.metadata,
        });
        match question {
            Question::Ping => {}
            Question::Info => {
                answer["description"] = json!(format!("nylon worker of group {}", options.group));
                answer["endpoints"] = self.endpoints(options.group.as_str(), |_| json!({ "metadata": {} }));
            }
            Question::Stats => {
                answer["started"] = json!(self.started);
                answer["endpoints"] = self.endpoints(&options.group, |index| stats(core, index));
            }
        }
        Bytes::from(answer.to_string())
    }

    fn endpoints(&self, group: &str, more: impl Fn(usize) -> Value) -> Value {
        let group = subject::escape(group).unwrap_or_default();
        let list = self.endpoints.iter().enumerate().map(|(index, (name, subject))| {
            let mut endpoint = json!({ "name": name, "subject": subject, "queue_group": group });
            if let (Value::Object(endpoint), Value::Object(more)) = (&mut endpoint, more(index)) {
                endpoint.extend(more);
            }
            endpoint
        });
        list.collect()
    }
}

fn stats(core: &Core, index: usize) -> Value {
    let Some(counts) = core.entry_counts.get(index) else { return json!({}) };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let average = counts.handling.checked_div(u32::try_from(counts.requests).unwrap_or(u32::MAX)).unwrap_or_default();
    let config = match core.init.state() {
        WorkerState::Ready => "ready",
        WorkerState::Initializing => "initializing",
        WorkerState::FailedFirst => "failed_first",
        WorkerState::FailedKeepingOld => "failed_keeping_old",
    };
    json!({
        "num_requests": counts.requests,
        "num_errors": counts.errors,
        "last_error": counts.last_error,
        "processing_time": nanos(counts.handling),
        "average_processing_time": nanos(average),
        "data": { "config": config, "config_error": core.init.last_error },
    })
}

/// UTC with milliseconds: `2026-11-23T17:02:13.000Z`.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date, by eras of 400 years that begin on 1 March (Howard Hinnant's civil_from_days).
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let year = era * 400 + year + carry;
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let at = |secs| rfc3339(UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_795_453_333), "2026-11-23T17:02:13.000Z");
    }
}
