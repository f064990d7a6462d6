use futures_util::FutureExt;

use super::*;

fn member() -> Member {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    Member::join(&format!("bus test {}", NUMBER.fetch_add(1, Relaxed)))
}

fn publish(member: &Member, subject: &str, text: &'static str) {
    member.publish(&Subject::from(subject), None, Bytes::from_static(text.as_bytes()));
}

/// What is there now.
fn read(subscription: &mut BusSubscription) -> Vec<Message> {
    let mut found = vec![];
    while let Some(Some(message)) = std::future::poll_fn(|context| subscription.poll_next(context)).now_or_never() {
        found.push(message);
    }
    found
}

fn texts(subscription: &mut BusSubscription) -> Vec<String> {
    read(subscription).iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}

/// Whether it has ended and everything in it was read.
fn ended(subscription: &mut BusSubscription) -> bool {
    let next = std::future::poll_fn(|context| subscription.poll_next(context)).now_or_never();
    matches!(next, Some(None))
}

#[test]
fn every_subscription_of_a_subject_gets_each_message_in_order() {
    let one = member();
    let (mut first, mut second) = (one.subscribe("a.b", None).unwrap(), one.subscribe("a.b", None).unwrap());
    let mut other = one.subscribe("a.c", None).unwrap();
    publish(&one, "a.b", "1");
    publish(&one, "a.b", "2");
    assert_eq!(texts(&mut first), ["1", "2"]);
    assert_eq!(texts(&mut second), ["1", "2"]);
    assert!(texts(&mut other).is_empty());
}

#[test]
fn members_of_a_queue_group_take_turns() {
    let one = member();
    let mut members: Vec<_> = (0..3).map(|_| one.subscribe("open.x", Some("group")).unwrap()).collect();
    let mut beside = one.subscribe("open.x", Some("another")).unwrap();
    for _ in 0..9 {
        publish(&one, "open.x", "open");
    }
    assert!(members.iter_mut().all(|member| texts(member).len() == 3));
    assert_eq!(texts(&mut beside).len(), 9);
}

#[test]
fn wildcards_match_as_on_nats() {
    for (pattern, matching, other) in [
        ("n.v1.h.g.0.*", "n.v1.h.g.0.17", "n.v1.h.g.1.17"),
        ("n.v1.h.g.0.*", "n.v1.h.g.0.x", "n.v1.h.g.0"),
        ("n.v1.h.g.0.*", "n.v1.h.g.0.1", "n.v1.h.g.0.1.2"),
        ("n.v1.beat.>", "n.v1.beat.group.worker", "n.v1.beat"),
        ("a.*.c", "a.b.c", "a.b.d"),
        ("*.b", "a.b", "a.b.c"),
        (">", "a", ""),
    ] {
        let found = Pattern::of(pattern).unwrap();
        assert!(found.matches(matching), "{pattern} {matching}");
        assert_eq!(found.matches(other), other.is_empty(), "{pattern} {other}");
    }
    assert!(Pattern::of("a.b").is_none());
}

#[test]
fn a_request_that_nobody_hears_is_answered_with_no_responders() {
    let one = member();
    let mut replies = one.subscribe("reply.*", None).unwrap();
    one.publish(&Subject::from("nobody"), Some(Subject::from("reply.7")), Bytes::new());
    let found = read(&mut replies);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].subject.as_str(), found[0].status), ("reply.7", Some(StatusCode::NO_RESPONDERS)));
    let mut worker = one.subscribe("somebody", None).unwrap();
    one.publish(&Subject::from("somebody"), Some(Subject::from("reply.7")), Bytes::new());
    assert!(read(&mut replies).is_empty());
    assert_eq!(read(&mut worker)[0].reply.as_deref(), Some("reply.7"));
}

#[test]
fn who_leaves_gets_what_was_published_before() {
    let one = member();
    let mut subscription = one.subscribe("a", Some("group")).unwrap();
    publish(&one, "a", "before");
    subscription.leave();
    publish(&one, "a", "after");
    assert_eq!(texts(&mut subscription), ["before"]);
    assert!(ended(&mut subscription));
}

#[test]
fn closing_ends_every_subscription_of_that_member_only() {
    let one = member();
    let other = Member { bus: Arc::clone(&one.bus), subscriptions: Mutex::default(), closed: AtomicBool::new(false) };
    let (mut mine, mut others) = (one.subscribe("a", None).unwrap(), other.subscribe("a", None).unwrap());
    one.close();
    publish(&other, "a", "1");
    assert!(ended(&mut mine));
    assert_eq!(texts(&mut others), ["1"]);
    assert!(one.subscribe("a", None).is_none());
    assert!(!one.is_open() && other.is_open());
}

#[test]
fn a_member_that_was_dropped_leaves_nothing_behind() {
    let one = member();
    drop(one.subscribe("a", None).unwrap());
    drop(one.subscribe("a.*", None).unwrap());
    let routes = one.bus.routes.load();
    assert!(routes.exact.is_empty() && routes.patterns.is_empty());
}

#[test]
fn a_bus_is_found_by_its_name_while_somebody_is_on_it() {
    let one = Member::join("by name");
    let mut heard = one.subscribe("a", None).unwrap();
    let other = Member::join("by name");
    publish(&other, "a", "hello");
    publish(&Member::join("by another name"), "a", "not for us");
    assert_eq!(texts(&mut heard), ["hello"]);
    assert_eq!(bus_name(&["memory:x".to_owned()]), Some("x"));
    assert_eq!(bus_name(&["nats://x".to_owned()]), None);
    assert_eq!(bus_name(&["memory:x".to_owned(), "nats://x".to_owned()]), None);
}
