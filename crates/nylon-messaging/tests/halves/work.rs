//! A worker for the gateway under test, and threads that run its handlers: the same on every transport.

use nylon_messaging::{
    ConnectionOptions,
    worker::{EntryOptions, Job, Lane, Next, Worker, WorkerOptions},
};
use nylon_wire::{Action, PhaseMask};

use crate::gateway::{ENTRY, GROUP, Gateway};

/// A worker of the gateway's group with these phases, which the gateway has heard of.
pub async fn worker(gateway: &Gateway, phases: PhaseMask, change: impl FnOnce(&mut WorkerOptions)) -> Worker {
    let mut options = WorkerOptions::new(GROUP, vec![EntryOptions::new(ENTRY, phases)]);
    options.connection = ConnectionOptions { servers: vec![gateway.server.url()], ..ConnectionOptions::default() };
    change(&mut options);
    let worker = Worker::start(options).unwrap();
    gateway.heard(worker.id()).await;
    worker
}

/// Threads that run a handler until the worker ends.
pub fn serve(worker: &Worker, threads: usize, handler: impl Fn(Job) + Send + Sync + Clone + 'static) {
    for _ in 0..threads {
        let (worker, handler) = (worker.clone(), handler.clone());
        std::thread::spawn(move || {
            while let Next::Job(job) = worker.next(Lane::Threads, None) {
                handler(job);
            }
        });
    }
}

pub fn pass(job: Job) {
    job.finish(vec![], Action::Next);
}
