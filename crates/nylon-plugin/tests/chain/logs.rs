//! What is written to the log: enough to find the request, no more than asked.

use std::{cell::RefCell, fmt::Write as _, sync::OnceLock};

use futures_util::FutureExt as _;
use nylon_plugin::{OnError, PluginErrorKind, Run};
use tracing::{Event, Level, Metadata, Subscriber, field::Visit, span};

use crate::support::*;

thread_local! {
    /// Warnings of the test that runs on this thread, as `field=value` text.
    static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The subscriber of all tests: one that comes and goes would race with others about what is worth recording.
struct Warnings;

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        WRITTEN.with_borrow_mut(|written| written.push(fields.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Serves two requests with the same entries; the warnings.
fn warnings(script: Script, link: &nylon_plugin::Link) -> Vec<String> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(Warnings).unwrap());
    WRITTEN.take();
    let (run, watch) = World::new(vec![("auth/check", script)]).run(vec![link.clone()], None);
    serve(run, &mut exchange(), OK).now_or_never().unwrap().unwrap();
    let chain = nylon_plugin::Chain::new(vec![link.clone()], None);
    serve(Run::new(chain.into(), watch.entries), &mut exchange(), OK).now_or_never().unwrap().unwrap();
    WRITTEN.take()
}

#[test]
fn ignored_headers_are_logged_once_per_entry() {
    let operations = vec![set("connection", "close"), set("transfer-encoding", "chunked")];
    let written = warnings(Script::all().on(RequestFilter, Step::Next(operations)), &link(0));
    assert_eq!(written.len(), 1, "{written:?}");
    assert!(written[0].contains("auth/check changes the header connection"), "{written:?}");
}

#[test]
fn operations_that_come_too_late_are_no_warning() {
    let script = Script::all().on(ResponseBodyFilter, Step::Next(vec![set("x-a", "1")]));
    assert_eq!(warnings(script, &link(0)), [""; 0]);
}

#[test]
fn a_failure_that_passes_is_logged_each_time_with_the_id_of_the_request() {
    let script = Script::all().on(ResponseFilter, Step::Fail(PluginErrorKind::Timeout));
    let written = warnings(script, &link(0));
    assert_eq!(written.len(), 2, "{written:?}");
    for text in
        ["id=\"r1\"", "entry=\"auth/check\"", "phase=\"response_filter\"", "code=\"PLUGIN_TIMEOUT\"", "scripted"]
    {
        assert!(written[0].contains(text), "{text} is missing in {written:?}");
    }
}

#[test]
fn a_failure_that_the_client_is_told_about_is_left_to_the_gateway_to_log() {
    let script = Script::new(&[RequestFilter]).on(RequestFilter, Step::Fail(PluginErrorKind::Timeout));
    assert_eq!(warnings(script, &link_on_error(0, OnError::Fail)), [""; 0]);
}
