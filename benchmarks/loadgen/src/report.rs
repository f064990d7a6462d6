//! What was measured: one JSON object on stdout, and a CSV line per request when a log is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use crate::options::Options;

/// An HTTP status, or one of the constants below.
pub type Outcome = u16;
/// The connection broke before the answer was complete.
pub const RESET: Outcome = 1;
/// No answer within the time limit.
pub const TIMED_OUT: Outcome = 2;
/// The connection could not be opened.
pub const REFUSED: Outcome = 3;
/// Due, but no connection came free until the end.
pub const NOT_SENT: Outcome = 4;

/// One request; times in µs from the start of the run.
pub struct Sample {
    due_us: u64,
    sent_us: u64,
    latency_us: u64,
    outcome: Outcome,
    class: u8,
}

impl Sample {
    pub fn new(due: Duration, sent: Duration, latency: Duration, outcome: Outcome, class: u8) -> Self {
        let us = |time: Duration| time.as_micros() as u64;
        Sample { due_us: us(due), sent_us: us(sent), latency_us: us(latency), outcome, class }
    }
}

fn name(outcome: Outcome) -> String {
    match outcome {
        RESET => "reset".into(),
        TIMED_OUT => "timeout".into(),
        REFUSED => "refused".into(),
        NOT_SENT => "not_sent".into(),
        status => status.to_string(),
    }
}

/// Latencies in µs as a JSON object.
fn quantiles(mut latencies: Vec<u64>) -> String {
    latencies.sort_unstable();
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        let index = ((latencies.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
        latencies.get(index).copied().unwrap_or(0)
    };
    let mean = latencies.iter().sum::<u64>() as f64 / latencies.len().max(1) as f64;
    format!(
        r#"{{"count":{},"mean":{mean:.1},"p50":{},"p90":{},"p99":{},"p999":{},"max":{}}}"#,
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

pub fn write(options: &Options, started_unix: f64, samples: &[Sample]) -> io::Result<()> {
    let from_us = (options.warmup * 1e6) as u64;
    let measured = || samples.iter().filter(|sample| sample.due_us >= from_us);
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    for sample in measured() {
        *outcomes.entry(sample.outcome).or_default() += 1;
    }
    let latencies = |class: u8, answered: bool| {
        measured()
            .filter(|sample| sample.class == class && (200..300).contains(&sample.outcome) == answered)
            .map(|sample| sample.latency_us)
            .collect::<Vec<_>>()
    };
    // with the warm-up, for who divides CPU time by it
    let answered = samples.iter().filter(|sample| sample.outcome >= 100).count();
    let outcomes: Vec<String> =
        outcomes.iter().map(|(outcome, count)| format!(r#""{}":{count}"#, name(*outcome))).collect();
    let last_us = measured().map(|sample| sample.due_us + sample.latency_us).max().unwrap_or(0);
    println!(
        r#"{{"started_unix":{started_unix:.6},"warmup":{},"rate":{},"seconds":{},"finished_us":{last_us},"answered":{answered},"outcomes":{{{}}},"ok_us":{},"other_us":{},"marked_ok_us":{}}}"#,
        options.warmup,
        options.rate,
        options.seconds,
        outcomes.join(","),
        quantiles(latencies(0, true)),
        quantiles(latencies(0, false)),
        quantiles(latencies(1, true)),
    );
    if let Some(path) = &options.log {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "due_us,sent_us,latency_us,outcome,class")?;
        for sample in samples {
            writeln!(
                file,
                "{},{},{},{},{}",
                sample.due_us,
                sample.sent_us,
                sample.latency_us,
                name(sample.outcome),
                sample.class
            )?;
        }
        file.flush()?;
    }
    Ok(())
}
