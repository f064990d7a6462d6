//! Counters of a gateway thread, and the text that Prometheus reads.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use nylon_plugin::{EntryMetrics, LATENCY_BOUNDS_US, Latency, Phase, PluginErrorKind};
use nylon_wire::ErrorCode;

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        // Only one thread writes: no locked instruction is needed.
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one gateway thread counts.
#[derive(Debug, Default)]
pub(crate) struct ThreadMetrics {
    /// Finished exchanges by status class, 1xx first; beyond 5xx last.
    pub(crate) classes: [Counter; 6],
    /// Exchanges whose client left.
    pub(crate) gone: Counter,
    pub(crate) in_flight: Counter,
    /// Error answers, by code.
    errors: [Counter; ErrorCode::ALL.len()],
    pub(crate) connections: Counter,
    pub(crate) open_connections: Counter,
    pub(crate) upstream_requests: Counter,
    pub(crate) upstream_connects: Counter,
    pub(crate) upstream_retries: Counter,
    pub(crate) upstream_broken: Counter,
    pub(crate) upstream_idle: Counter,
}

impl ThreadMetrics {
    pub(crate) fn error(&self, code: ErrorCode) {
        if let Some(counter) = self.errors.get(code as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn finished(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 6) - 1;
        self.classes[class].add(1);
    }
}

/// Writes a family with its help and type.
fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to memory cannot fail, here and below.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// The text of all threads together.
pub(crate) fn render(threads: &[Arc<ThreadMetrics>], text: &mut String) {
    let sum = |pick: &dyn Fn(&ThreadMetrics) -> &Counter| {
        threads.iter().map(|thread| pick(thread).get()).fold(0, u64::wrapping_add)
    };
    family(
        text,
        "nylon_requests_total",
        "counter",
        "Finished requests by status class; client_gone left before the end.",
    );
    for (index, class) in ["1xx", "2xx", "3xx", "4xx", "5xx", "other"].iter().enumerate() {
        let _ = writeln!(text, "nylon_requests_total{{class=\"{class}\"}} {}", sum(&|thread| &thread.classes[index]));
    }
    let _ = writeln!(text, "nylon_requests_total{{class=\"client_gone\"}} {}", sum(&|thread| &thread.gone));
    family(text, "nylon_errors_total", "counter", "Error answers of the gateway by code.");
    for (index, code) in ErrorCode::ALL.iter().enumerate() {
        let count = sum(&|thread| &thread.errors[index]);
        if count > 0 {
            let _ =
                writeln!(text, "nylon_errors_total{{code=\"{}\",status=\"{}\"}} {count}", code.code(), code.status());
        }
    }
    type Pick = fn(&ThreadMetrics) -> &Counter;
    let plain: [(&str, &str, &str, Pick); 8] = [
        ("nylon_requests_in_flight", "gauge", "Requests being answered.", |thread| &thread.in_flight),
        ("nylon_connections_total", "counter", "Client connections accepted.", |thread| &thread.connections),
        ("nylon_connections", "gauge", "Client connections open.", |thread| &thread.open_connections),
        ("nylon_upstream_requests_total", "counter", "Requests sent to upstreams.", |thread| &thread.upstream_requests),
        ("nylon_upstream_connects_total", "counter", "Connections opened to upstreams.", |thread| {
            &thread.upstream_connects
        }),
        (
            "nylon_upstream_retries_total",
            "counter",
            "Requests sent again because an idle connection had died.",
            |thread| &thread.upstream_retries,
        ),
        ("nylon_upstream_broken_bodies_total", "counter", "Answers that broke off after the head.", |thread| {
            &thread.upstream_broken
        }),
        ("nylon_upstream_idle_connections", "gauge", "Upstream connections in the pools.", |thread| {
            &thread.upstream_idle
        }),
    ];
    for (name, kind, help, pick) in plain {
        family(text, name, kind, help);
        let _ = writeln!(text, "{name} {}", sum(&|thread| pick(thread)));
    }
}

/// The text of all entries, each summed over the threads.
pub(crate) fn render_entries(entries: &[(Arc<str>, Vec<Arc<EntryMetrics>>)], text: &mut String) {
    family(text, "nylon_plugin_phases_total", "counter", "Phases started.");
    each(entries, |label, threads| {
        for phase in Phase::ALL {
            let count: u64 = threads.iter().map(|metrics| metrics.phases(phase)).sum();
            let _ = writeln!(text, "nylon_plugin_phases_total{{entry=\"{label}\",phase=\"{}\"}} {count}", phase.name());
        }
    });
    family(text, "nylon_plugin_failures_total", "counter", "Phases that failed, whatever the policy.");
    each(entries, |label, threads| {
        for kind in PluginErrorKind::ALL {
            let count: u64 = threads.iter().map(|metrics| metrics.failures(kind)).sum();
            if count > 0 {
                let _ =
                    writeln!(text, "nylon_plugin_failures_total{{entry=\"{label}\",kind=\"{}\"}} {count}", kind.name());
            }
        }
    });
    family(text, "nylon_plugin_continued_total", "counter", "Failures that the policy let pass.");
    each(entries, |label, threads| {
        let count: u64 = threads.iter().map(|metrics| metrics.continued()).sum();
        let _ = writeln!(text, "nylon_plugin_continued_total{{entry=\"{label}\"}} {count}");
    });
    family(
        text,
        "nylon_plugin_seconds",
        "histogram",
        "Latency of a phase: waiting at the worker, on the way, in the handler.",
    );
    type Pick = fn(&EntryMetrics) -> &Latency;
    let parts: [(&str, Pick); 3] = [
        ("queue", |metrics| &metrics.queue),
        ("transport", |metrics| &metrics.transport),
        ("handler", |metrics| &metrics.handler),
    ];
    each(entries, |label, threads| {
        for (part, pick) in parts {
            histogram(text, label, part, threads.iter().map(|metrics| pick(metrics)));
        }
    });
}

fn each(entries: &[(Arc<str>, Vec<Arc<EntryMetrics>>)], mut write: impl FnMut(&str, &[Arc<EntryMetrics>])) {
    for (label, threads) in entries {
        write(&escape(label), threads);
    }
}

fn histogram<'a>(text: &mut String, label: &str, part: &str, threads: impl Iterator<Item = &'a Latency>) {
    let (mut buckets, mut sum) = ([0; LATENCY_BOUNDS_US.len() + 1], 0);
    for latency in threads {
        buckets.iter_mut().zip(latency.buckets()).for_each(|(total, count)| *total += count);
        sum += latency.sum_us();
    }
    let labels = format!("entry=\"{label}\",part=\"{part}\"");
    let mut total = 0;
    for (count, bound) in buckets.iter().zip(LATENCY_BOUNDS_US) {
        total += count;
        let _ = writeln!(text, "nylon_plugin_seconds_bucket{{{labels},le=\"{}\"}} {total}", bound as f64 / 1e6);
    }
    total += buckets[LATENCY_BOUNDS_US.len()];
    let _ = writeln!(text, "nylon_plugin_seconds_bucket{{{labels},le=\"+Inf\"}} {total}");
    let _ = writeln!(text, "nylon_plugin_seconds_sum{{{labels}}} {}", sum as f64 / 1e6);
    let _ = writeln!(text, "nylon_plugin_seconds_count{{{labels}}} {total}");
}

/// What stands between the quotes of a label.
pub(crate) fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"")
}
