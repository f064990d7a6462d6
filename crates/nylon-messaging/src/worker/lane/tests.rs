use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use super::*;

struct Piece(usize, AtomicBool);

type Item = Arc<Piece>;

impl Queued for Item {
    fn claim(&self, _now: Instant) -> bool {
        !self.is_dead()
    }
    fn is_dead(&self) -> bool {
        self.1.load(SeqCst)
    }
}

fn piece(number: usize) -> Item {
    Arc::new(Piece(number, AtomicBool::new(false)))
}

fn push(queue: &Queue<Item>, numbers: &[usize]) -> Option<Instant> {
    let mut batch = numbers.iter().map(|number| piece(*number)).collect();
    queue.push(&mut batch, Instant::now())
}

/// Waits until `count` threads are parked in the queue.
fn parked(queue: &Queue<Item>, count: usize) {
    let parked = || {
        let inner = queue.lock();
        inner.followers.len() + usize::from(matches!(inner.leader, Leader::Parked(..)))
    };
    while parked() != count {
        std::thread::yield_now();
    }
}

/// A thread that takes jobs, tells each and waits for permission to go on.
struct Hand {
    go: mpsc::Sender<()>,
    got: mpsc::Receiver<Option<usize>>,
}

impl Hand {
    fn start(queue: &Arc<Queue<Item>>) -> Self {
        let ((go, wait), (tell, got)) = (mpsc::channel(), mpsc::channel());
        let queue = queue.clone();
        std::thread::spawn(move || {
            loop {
                let Taken::Job(job) = queue.take(None, &Outbox::default()) else {
                    return tell.send(None).unwrap_or_default();
                };
                if tell.send(Some(job.0)).is_err() || wait.recv().is_err() {
                    return;
                }
            }
        });
        Self { go, got }
    }

    fn got(&self) -> Option<usize> {
        self.got.recv_timeout(Duration::from_secs(10)).expect("a job comes")
    }
}

fn leader_and_follower() -> (Arc<Queue<Item>>, Hand, Hand) {
    let queue = Arc::new(Queue::new());
    let leader = Hand::start(&queue);
    parked(&queue, 1);
    let follower = Hand::start(&queue);
    parked(&queue, 2);
    (queue, leader, follower)
}

#[test]
fn an_empty_lane_times_out_and_a_closed_one_says_so() {
    let queue = Queue::<Item>::new();
    assert!(matches!(queue.take(Some(Instant::now()), &Outbox::default()), Taken::TimedOut));
    push(&queue, &[1]);
    queue.close();
    assert!(matches!(queue.take(None, &Outbox::default()), Taken::Job(_)));
    assert!(matches!(queue.take(None, &Outbox::default()), Taken::Closed));
}

#[test]
fn jobs_leave_in_order_and_those_taken_back_do_not() {
    let queue = Queue::<Item>::new();
    let pieces: Vec<_> = (0..4).map(piece).collect();
    queue.push(&mut pieces.clone(), Instant::now());
    pieces[0].1.store(true, SeqCst);
    pieces[2].1.store(true, SeqCst);
    queue.sweep();
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.try_take().map(|job| job.0), Some(1));
    assert_eq!(queue.try_take().map(|job| job.0), Some(3));
    assert!(queue.try_take().is_none());
}

#[test]
fn a_quick_leader_gets_everything() {
    let (queue, leader, follower) = leader_and_follower();
    for number in 0..50 {
        // The clock stands still for the watchdog, however slow this machine is.
        queue.push(&mut vec![piece(number)], Instant::now() - Duration::from_secs(1));
        assert_eq!(leader.got(), Some(number));
        leader.go.send(()).expect("the leader lives");
        parked(&queue, 2);
    }
    assert!(follower.got.try_recv().is_err());
    queue.close();
    assert_eq!((leader.got(), follower.got()), (None, None));
}

#[test]
fn the_watchdog_wakes_a_follower_for_what_a_slow_leader_leaves() {
    let (queue, leader, follower) = leader_and_follower();
    push(&queue, &[1]);
    assert_eq!(leader.got(), Some(1));
    let before = Instant::now() - Duration::from_secs(1);
    assert!(queue.push(&mut vec![piece(2)], before).is_some(), "it wants to look again");
    assert!(follower.got.try_recv().is_err(), "not before the leader is slow");
    queue.watch(Instant::now() + SLOW);
    assert_eq!(follower.got(), Some(2));
    queue.close();
    leader.go.send(()).expect("the leader lives");
    follower.go.send(()).expect("the follower lives");
    assert_eq!((leader.got(), follower.got()), (None, None));
}

#[test]
fn after_a_long_handler_a_slow_leader_is_overtaken_sooner() {
    let (queue, leader, follower) = leader_and_follower();
    queue.patience.took(5 * SLOW, Instant::now() + Duration::from_secs(3_600));
    push(&queue, &[1]);
    assert_eq!(leader.got(), Some(1));
    let away = Instant::now();
    queue.push(&mut vec![piece(2)], away - Duration::from_secs(1));
    queue.watch(away + SLOW / 2);
    assert_eq!(follower.got(), Some(2));
    queue.close();
}

#[test]
fn after_a_long_handler_results_wait_for_a_few_others_at_most() {
    let (queue, outbox) = (Queue::new(), Outbox::default());
    let all_at_once = || {
        push(&queue, &[1, 2, 3, 4, 5, 6]);
        let Taken::Job(first) = queue.take(None, &outbox) else { panic!("there is a job") };
        [first].into_iter().chain(std::iter::from_fn(|| queue.take_now())).map(|job| job.0).collect::<Vec<_>>()
    };
    assert_eq!(all_at_once(), [1, 2, 3, 4, 5, 6]);
    assert!(matches!(queue.take(Some(Instant::now()), &outbox), Taken::TimedOut));
    queue.patience.took(5 * SLOW, Instant::now() + Duration::from_secs(3_600));
    assert_eq!(all_at_once(), [1, 2, 3, 4]);
    // it has come by: what it held has been sent
    assert!(matches!(queue.take(None, &outbox), Taken::Job(_)));
    assert_eq!(queue.take_now().map(|job| job.0), Some(6));
}

#[test]
fn who_comes_back_from_a_slow_handler_goes_on_with_what_waits() {
    let queue = Arc::new(Queue::new());
    let hands: Vec<_> = (0..2).map(|_| Hand::start(&queue)).collect();
    parked(&queue, 2);
    push(&queue, &[1, 2, 3, 4]);
    // Both end up with a job: one by the push, one by the watchdog.
    let mut seen = vec![];
    let mut busy = vec![false, false];
    while busy.iter().any(|busy| !busy) {
        queue.watch(Instant::now() + SLOW);
        for (hand, busy) in hands.iter().zip(&mut busy) {
            if let Ok(Some(job)) = hand.got.try_recv() {
                seen.push(job);
                *busy = true;
            }
        }
    }
    let taken = Instant::now();
    while taken.elapsed() < 2 * SLOW {
        std::thread::yield_now();
    }
    for hand in &hands {
        hand.go.send(()).expect("the thread lives");
        seen.push(hand.got().expect("no watchdog is needed for the rest"));
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[test]
fn a_loop_is_told_when_its_lane_fills_and_when_it_closes() {
    let queue = Queue::<Item>::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    queue.on_ready(Box::new(move || {
        counted.fetch_add(1, SeqCst);
    }));
    assert_eq!(calls.load(SeqCst), 0);
    push(&queue, &[1, 2]);
    push(&queue, &[3]);
    assert_eq!(calls.load(SeqCst), 1, "only from empty to non-empty");
    while queue.try_take().is_some() {}
    push(&queue, &[4]);
    assert_eq!(calls.load(SeqCst), 2);
    queue.close();
    assert_eq!(calls.load(SeqCst), 3);
}

#[test]
fn many_threads_take_each_job_once() {
    let queue = Arc::new(Queue::<Item>::new());
    let (tell, got) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (queue, tell) = (queue.clone(), tell.clone());
            std::thread::spawn(move || {
                while let Taken::Job(job) = queue.take(None, &Outbox::default()) {
                    tell.send(job.0).expect("the test listens");
                }
            })
        })
        .collect();
    for start in 0..200 {
        push(&queue, &[start * 5, start * 5 + 1, start * 5 + 2, start * 5 + 3, start * 5 + 4]);
        queue.watch(Instant::now() + SLOW);
    }
    let mut seen: Vec<_> = (0..1_000).map(|_| got.recv_timeout(Duration::from_secs(10)).expect("a job")).collect();
    queue.close();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
}
