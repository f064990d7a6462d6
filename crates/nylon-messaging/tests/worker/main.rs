//! The worker half against a real nats-server and a gateway that speaks raw frames.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)] // a test stops at the first surprise

mod bodies;
mod config;
mod drain;
mod gateway;
mod phases;
#[path = "../support/server.rs"]
mod server;
mod sockets;
mod streams;
mod time;
mod wait;

use std::time::Duration;

use nylon_messaging::{
    ConnectionOptions,
    worker::{EntryOptions, Job, Lane, Next, Worker, WorkerOptions},
};
use nylon_wire::{Action, Phase, PhaseMask};

use server::NatsServer;

/// Options of a worker with one entry, `auth`, that has these phases.
pub fn options(server: &NatsServer, phases: &[Phase]) -> WorkerOptions {
    let mask = phases.iter().fold(PhaseMask::default(), |mask, phase| mask.with(*phase));
    let mut options = WorkerOptions::new("auth workers", vec![EntryOptions::new("auth", mask)]);
    // A busy machine is not what these tests are about.
    options.wait_limit = Duration::from_secs(10);
    options.connection = ConnectionOptions { servers: vec![server.url()], ..ConnectionOptions::default() };
    options
}

/// A thread that runs a handler for every job until the worker ends.
pub fn serve(worker: &Worker, mut handler: impl FnMut(Job) + Send + 'static) -> std::thread::JoinHandle<()> {
    let worker = worker.clone();
    std::thread::spawn(move || {
        while let Next::Job(job) = worker.next(Lane::Threads, None) {
            handler(job);
        }
    })
}

pub fn pass(job: Job) {
    job.finish(vec![], Action::Next);
}

/// A worker that serves, and a gateway that has heard of it.
pub async fn start(server: &NatsServer, phases: &[Phase]) -> (Worker, gateway::Gateway) {
    let mut gateway = gateway::Gateway::connect(server).await;
    let worker = Worker::start(options(server, phases)).unwrap();
    gateway.ready(&worker).await;
    (worker, gateway)
}
