//! Many gateway threads at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nylon_ffi::Executor;

use crate::support::{Options, exchange, library, options, run, serve};

#[test]
fn nobody_passes_without_the_token_whatever_the_others_do() {
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let passed = &passed;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(tokio::runtime::LocalOptions::default())
                    .unwrap();
                runtime.block_on(async {
                    for round in 0..60 {
                        let good = (thread + round) % 2 == 0;
                        let token = if good { "Bearer secret" } else { "Bearer guess" };
                        let executor = if round % 3 == 0 { Executor::Inline } else { Executor::Pool };
                        let library = library(if round % 4 < 2 { &["THREADS"] } else { &["RUNS", "THREADS"] });
                        let options = Options { library, executor, ..options() };
                        let run = run(&["auth", "phases"], false, &options);
                        let got = serve(run, &mut exchange(&[("authorization", token)], b""), &["hello"]).await;
                        let expected = if good { (200, "hello") } else { (401, "who are you?") };
                        assert_eq!((got.status, got.text()), expected);
                        passed.fetch_add(usize::from(good), Relaxed);
                    }
                });
            });
        }
    });
    assert_eq!(passed.load(Relaxed), 240);
}
