use super::*;

fn slots() -> Slots {
    Slots::new("nylon.v1.h.gw.0.".to_owned())
}

fn session(n: u8) -> SessionId {
    SessionId([n; 16])
}

fn next(slots: &mut Slots, index: u32) -> Poll<Event> {
    slots.poll(index, 100, &Context::from_waker(Waker::noop()))
}

#[test]
fn the_last_freed_is_the_first_used() {
    let mut slots = slots();
    let taken: Vec<_> = (0..3).map(|n| slots.take(session(n), "g").unwrap()).collect();
    assert_eq!(taken, [0, 1, 2]);
    slots.release(0, None);
    slots.release(2, None);
    assert_eq!(slots.take(session(9), "g"), Some(2));
    assert_eq!(slots.take(session(9), "g"), Some(0));
    assert_eq!(slots.take(session(9), "g"), Some(3));
    assert_eq!(slots.get(2).unwrap().reply.as_str(), "nylon.v1.h.gw.0.2");
}

#[test]
fn only_the_session_of_this_generation_is_served() {
    let mut slots = slots();
    let index = slots.take(session(1), "g").unwrap();
    let old = slots.get(index).unwrap().header;
    slots.release(index, None);
    assert!(!slots.deliver(&old, Bytes::from_static(b"late")), "a free slot took a frame");
    slots.take(session(1), "g").unwrap();
    let new = slots.get(index).unwrap().header;
    assert!(!slots.deliver(&old, Bytes::from_static(b"late")), "an old generation was served");
    let stranger = Header { session: session(2), ..new };
    assert!(!slots.deliver(&stranger, Bytes::from_static(b"x")), "another session was served");
    let nowhere = Header { generation: new.generation + 77, ..new };
    assert!(!slots.deliver(&nowhere, Bytes::from_static(b"x")));
    assert!(slots.deliver(&new, Bytes::from_static(b"mine")));
    assert!(matches!(next(&mut slots, index), Poll::Ready(Event::Frame(frame)) if frame == "mine"));
    assert!(next(&mut slots, index).is_pending());
}

#[test]
fn a_resting_slot_is_not_used_before_its_time() {
    let mut slots = slots();
    let index = slots.take(session(1), "g").unwrap();
    slots.release(index, Some(50));
    assert_eq!((slots.in_use(), slots.resting()), (0, 1));
    assert_ne!(slots.take(session(1), "g"), Some(index));
    assert!(slots.tick(49));
    assert_eq!(slots.resting(), 1);
    slots.tick(50);
    assert_eq!(slots.take(session(1), "g"), Some(index));
}

#[test]
fn releasing_twice_frees_once() {
    let mut slots = slots();
    let index = slots.take(session(1), "g").unwrap();
    slots.release(index, None);
    slots.release(index, None);
    assert_eq!(slots.in_use(), 0);
    assert_ne!(slots.take(session(1), "g"), slots.take(session(2), "g"));
}

#[test]
fn a_deadline_does_not_overtake_an_answer() {
    let mut slots = slots();
    let index = slots.take(session(1), "g").unwrap();
    let header = slots.get(index).unwrap().header;
    assert!(next(&mut slots, index).is_pending());
    slots.deliver(&header, Bytes::from_static(b"answer"));
    slots.tick(100);
    assert!(matches!(next(&mut slots, index), Poll::Ready(Event::Frame(_))));
    assert!(matches!(next(&mut slots, index), Poll::Ready(Event::Signal(Signal::Due))));
}

#[test]
fn a_lost_connection_fails_only_those_who_wait() {
    let mut slots = slots();
    let (waits, idles) = (slots.take(session(1), "g").unwrap(), slots.take(session(2), "g").unwrap());
    slots.set_waiting(waits, true);
    slots.signal_waiting(Signal::Disconnected);
    assert!(matches!(next(&mut slots, waits), Poll::Ready(Event::Signal(Signal::Disconnected))));
    assert!(next(&mut slots, idles).is_pending());
}

#[test]
fn a_flood_does_not_fill_memory() {
    let mut slots = slots();
    let index = slots.take(session(1), "g").unwrap();
    let header = slots.get(index).unwrap().header;
    let piece = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..9 {
        assert!(slots.deliver(&header, piece.clone()));
    }
    assert!(matches!(next(&mut slots, index), Poll::Ready(Event::Signal(Signal::Rubbish))));
    assert!(next(&mut slots, index).is_pending());
}

#[test]
fn a_generation_leads_to_its_slot_and_is_not_repeated_soon() {
    let mut slots = slots();
    let others: Vec<_> = (0..3).map(|n| slots.take(session(n), "g").unwrap()).collect();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1 << 16 {
        let index = slots.take(session(1), "g").unwrap();
        let generation = slots.get(index).unwrap().header.generation;
        assert_eq!((slot_of(generation), index), (3, 3));
        assert!(seen.insert(generation));
        slots.release(index, None);
    }
    slots.release(others[0], None);
}

#[test]
fn no_responders_reaches_those_who_travelled_together_and_nobody_else() {
    let mut slots = slots();
    let taken: Vec<_> = (0..4).map(|n| slots.take(session(n), "g").unwrap()).collect();
    let generations: Vec<_> = taken.iter().map(|index| slots.get(*index).unwrap().header.generation).collect();
    slots.travel_together(&generations[..3]);
    // The second one's slot has a new session by then; the first one is gone and rests.
    slots.release(taken[1], None);
    assert_eq!(slots.take(session(9), "g"), Some(taken[1]));
    slots.release(taken[0], Some(50));
    slots.no_responders(taken[0]);
    let told =
        |slots: &mut Slots, index| matches!(next(slots, index), Poll::Ready(Event::Signal(Signal::NoResponders)));
    assert_eq!(taken[1..].iter().map(|index| told(&mut slots, *index)).collect::<Vec<_>>(), [false, true, false]);
    slots.no_responders(taken[0]);
    assert!(!told(&mut slots, taken[2]), "told twice");
}

#[test]
fn what_nobody_waits_for_keeps_no_buffer_of_others() {
    let mut slots = slots();
    let index = slots.take(session(1), "g").unwrap();
    let header = slots.get(index).unwrap().header;
    let buffer = Bytes::from(vec![7; 64 << 10]);
    let shares = |frame: &Bytes| buffer.as_ptr_range().contains(&frame.as_ptr());
    for (waited_for, part) in [(false, 0..100), (true, 100..200)] {
        if waited_for {
            assert!(next(&mut slots, index).is_pending());
        }
        slots.deliver(&header, buffer.slice(part));
        let Poll::Ready(Event::Frame(frame)) = next(&mut slots, index) else { panic!("expected a frame") };
        assert_eq!((shares(&frame), frame.len()), (waited_for, 100));
    }
}
