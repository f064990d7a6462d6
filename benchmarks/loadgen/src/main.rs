//! Open-loop HTTP/1.1 load generator: requests leave at fixed instants whatever the server does, and latency counts from the
//! instant a request was *due*, so a server that stalls cannot hide it. One thread, no allocation per request.

mod connection;
mod options;
mod report;
mod schedule;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::connection::{Connection, Progress};
use crate::options::Options;
use crate::report::{NOT_SENT, Outcome, REFUSED, RESET, Sample, TIMED_OUT};
use crate::schedule::Schedule;

/// The timer's key in the event set; connections use their index.
const TIMER: u64 = u64::MAX;

fn main() {
    let options = match Options::from_args(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("loadgen: {text}\n{}", options::USAGE);
            std::process::exit(2);
        }
    };
    let result = Driver::new(&options).and_then(Driver::run);
    match result {
        Ok((started_unix, samples)) => {
            if let Err(error) = report::write(&options, started_unix, &samples) {
                eprintln!("loadgen: writing the report: {error}");
                std::process::exit(1);
            }
        }
        Err(error) => {
            eprintln!("loadgen: {error}");
            std::process::exit(1);
        }
    }
}

/// What is due and not yet on a connection.
struct Due {
    at: Duration,
    class: u8,
}

struct Driver<'a> {
    options: &'a Options,
    events: rustix::fd::OwnedFd,
    timer: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    /// Connected and waiting for work, oldest first, so that all of them are used in turn.
    idle: VecDeque<usize>,
    /// Not connected (any more).
    closed: Vec<usize>,
    waiting: VecDeque<Due>,
    samples: Vec<Sample>,
}

impl<'a> Driver<'a> {
    fn new(options: &'a Options) -> io::Result<Self> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&events, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        let mut driver = Driver {
            options,
            events,
            timer,
            connections: (0..options.connections).map(|_| Connection::closed()).collect(),
            idle: VecDeque::with_capacity(options.connections),
            closed: (0..options.connections).rev().collect(),
            waiting: VecDeque::new(),
            samples: Vec::with_capacity(options.total() as usize),
        };
        for _ in 0..options.connections {
            if let Some(index) = driver.closed.pop() {
                driver.connect(index)?;
                driver.idle.push_back(index);
            }
        }
        Ok(driver)
    }

    /// Sends everything, waits for the last answers, and returns the wall-clock start (s since 1970) with all samples.
    fn run(mut self) -> io::Result<(f64, Vec<Sample>)> {
        let options = self.options;
        let mut schedule = Schedule::new(options);
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let start = Instant::now();
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(1024);
        let mut next_sweep = Duration::from_millis(100);
        loop {
            let now = start.elapsed();
            while let Some(due) = schedule.take_due(now) {
                self.waiting.push_back(due);
            }
            self.send_waiting(start);
            if now >= next_sweep {
                self.sweep(now);
                next_sweep = now + Duration::from_millis(100);
            }
            let busy = self.connections.len() - self.idle.len() - self.closed.len();
            if schedule.is_done() && self.waiting.is_empty() && busy == 0 {
                break;
            }
            if now > schedule.end() + options.timeout {
                break;
            }
            let wake = schedule.next_at().map_or(next_sweep, |at| at.min(next_sweep));
            self.arm(wake.saturating_sub(start.elapsed()))?;
            ready.clear();
            match epoll::wait(&self.events, rustix::buffer::spare_capacity(&mut ready), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &ready {
                let key = event.data.u64();
                if key == TIMER {
                    let mut expirations = [0_u8; 8];
                    // An early or repeated wake-up only runs the loop once more.
                    let _ = rustix::io::read(&self.timer, &mut expirations);
                } else {
                    self.on_ready(key as usize, start);
                }
            }
        }
        for due in std::mem::take(&mut self.waiting) {
            self.samples.push(Sample::new(due.at, due.at, Duration::ZERO, NOT_SENT, due.class));
        }
        Ok((started_unix, self.samples))
    }

    fn arm(&self, after: Duration) -> io::Result<()> {
        let after = after.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: after.as_secs() as i64, tv_nsec: i64::from(after.subsec_nanos()) };
        let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: interval, it_value: value },
        )?;
        Ok(())
    }

    fn connect(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.open(self.options.address)?;
        if let Some(stream) = connection.stream() {
            epoll::add(
                &self.events,
                stream,
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            )?;
        }
        Ok(())
    }

    /// Closing the socket also takes it out of the event set.
    fn close(&mut self, index: usize) {
        self.connections[index].close();
        self.closed.push(index);
    }

    fn send_waiting(&mut self, start: Instant) {
        while let Some(due) = self.waiting.pop_front() {
            let index = match self.idle.pop_front() {
                Some(index) => index,
                None => match self.closed.pop() {
                    Some(index) => {
                        if self.connect(index).is_err() {
                            self.close(index);
                            self.fail(&due, start.elapsed(), REFUSED);
                            continue;
                        }
                        index
                    }
                    None => {
                        self.waiting.push_front(due);
                        return;
                    }
                },
            };
            let sent = start.elapsed();
            let request = self.options.request(due.class);
            if self.connections[index].send(request, due.at, sent, due.class).is_err() {
                self.close(index);
                self.fail(&due, sent, RESET);
            }
        }
    }

    fn fail(&mut self, due: &Due, now: Duration, outcome: Outcome) {
        let latency = now.saturating_sub(due.at);
        self.samples.push(Sample::new(due.at, now, latency, outcome, due.class));
    }

    fn on_ready(&mut self, index: usize, start: Instant) {
        let progress = self.connections[index].receive();
        let Some((due, sent, class)) = self.connections[index].in_flight() else {
            // Nothing was asked: the server closed an idle connection (or spoke out of turn).
            if !matches!(progress, Progress::More) && self.connections[index].stream().is_some() {
                self.idle.retain(|other| *other != index);
                self.close(index);
            }
            return;
        };
        let (outcome, keep) = match progress {
            Progress::More => return,
            Progress::Answer { status, keep } => (status, keep),
            Progress::Broken => (RESET, false),
        };
        let now = start.elapsed();
        self.samples.push(Sample::new(due, sent, now.saturating_sub(due), outcome, class));
        self.connections[index].finish();
        if keep {
            self.idle.push_back(index);
        } else {
            self.close(index);
        }
    }

    /// Gives up on requests beyond the time limit.
    fn sweep(&mut self, now: Duration) {
        for index in 0..self.connections.len() {
            if let Some((due, sent, class)) = self.connections[index].in_flight()
                && now.saturating_sub(sent) > self.options.timeout
            {
                self.samples.push(Sample::new(due, sent, now - due, TIMED_OUT, class));
                self.connections[index].finish();
                self.close(index);
            }
        }
    }
}
