use super::*;

#[test]
fn names_escape_and_come_back() {
    for (name, token) in [
        ("auth", "auth"),
        ("a.b", "a=2Eb"),
        ("a b*>", "a=20b=2A=3E"),
        ("é", "=C3=A9"),
        ("a=b", "a=3Db"),
        ("A_z-9", "A_z-9"),
    ] {
        assert_eq!(escape(name).unwrap(), token);
        assert_eq!(unescape(token).unwrap(), name);
    }
    assert_eq!(escape(""), Err(SubjectError::Empty));
    for token in ["=2e", "=2", "=", "a.b", "=41", "=FF", "a b"] {
        assert_eq!(unescape(token), Err(SubjectError::Token), "{token}");
    }
}

#[test]
fn subjects_are_those_of_the_rules() {
    assert_eq!(open("nylon", "g 1", "auth").unwrap(), "nylon.v1.open.g=201.auth");
    assert_eq!(worker("nylon", "g", "w1").unwrap(), "nylon.v1.w.g.w1");
    assert_eq!(reply("a.b", "gw", 3, 17).unwrap(), "a.b.v1.h.gw.3.17");
    assert_eq!(reply_wildcard("nylon", "gw", 3).unwrap(), "nylon.v1.h.gw.3.*");
    assert_eq!(beat("nylon", "g", "w").unwrap(), "nylon.v1.beat.g.w");
    assert_eq!(beat_wildcard("nylon", "g").unwrap(), "nylon.v1.beat.g.*");
    assert_eq!(beat_all("nylon").unwrap(), "nylon.v1.beat.>");
    assert_eq!(room("nylon", "chat", "r.1").unwrap(), "nylon.v1.room.chat.r=2E1");
    for prefix in ["", "a.", ".a", "a b", "a.*", "a.>", "a..b"] {
        assert_eq!(open(prefix, "g", "e"), Err(SubjectError::Prefix), "{prefix}");
    }
    assert_eq!(open("nylon", "", "e"), Err(SubjectError::Empty));
}

#[test]
fn no_subject_is_longer_than_a_server_takes() {
    let fits = |head: &str| "a".repeat(MAX_LENGTH - head.len());
    let longest = fits("nylon.v1.room.chat.");
    assert_eq!(room("nylon", "chat", &longest).unwrap().len(), MAX_LENGTH);
    assert_eq!(room("nylon", "chat", &format!("{longest}a")), Err(SubjectError::TooLong));
    // An escaped byte is three.
    assert_eq!(room("nylon", "chat", &"é".repeat(200)), Err(SubjectError::TooLong));
    assert_eq!(open("nylon", &"g".repeat(1 << 20), "e"), Err(SubjectError::TooLong));
    let prefix = fits(".v1.h.g.0.1");
    assert_eq!(reply(&prefix, "g", 0, 1).unwrap().len(), MAX_LENGTH);
    assert_eq!(reply(&prefix, "g", 0, 10), Err(SubjectError::TooLong));
    assert_eq!(reply_wildcard(&prefix, "g", 10), Err(SubjectError::TooLong));
    assert_eq!(beat_wildcard(&fits(".v1.beat.g"), "g"), Err(SubjectError::TooLong));
    assert_eq!(beat_all(&fits(".v1.beat")), Err(SubjectError::TooLong));
    let worker = format!("nylon.v1.w.g.{}", fits("nylon.v1.w.g."));
    assert!(is_worker("nylon", &worker) && !is_worker("nylon", &format!("{worker}a")));
}

#[test]
fn only_a_worker_s_subject_is_one() {
    assert!(is_worker("a.b", &worker("a.b", "g 1", "w-1").unwrap()));
    for subject in
        ["nylon.v1.w.g", "nylon.v1.w.g.w.x", "nylon.v1.w.g.*", "nylon.v1.h.g.1.2", "x.v1.w.g.w", "nylon.v1.w.g.w\r\n"]
    {
        assert!(!is_worker("nylon", subject), "{subject}");
    }
}

#[test]
fn beats_name_group_and_worker() {
    assert_eq!(parse_beat("a.b.v1.beat.g=20x.w1"), Some(("g x".into(), "w1".into())));
    assert_eq!(parse_beat("a.v1.w.g.w1"), None);
    assert_eq!(parse_beat("beat.g.w"), None);
}

#[test]
fn only_a_plain_slot_is_a_slot() {
    assert_eq!(parse_slot("nylon.v1.h.gw.3.17"), Some(17));
    assert_eq!(parse_slot("x.0"), Some(0));
    assert_eq!(parse_slot("x.4294967295"), Some(u32::MAX));
    for subject in ["17", "x.", "x.4294967296", "x.+1", "x.01", "x.1a", "x.-1", ""] {
        assert_eq!(parse_slot(subject), None, "{subject}");
    }
}

#[test]
fn service_names_are_legal_and_distinct() {
    assert_eq!(service_name("auth_workers").unwrap(), "auth_workers");
    let (a, b) = (service_name("a.b").unwrap(), service_name("a b").unwrap());
    assert_ne!(a, b);
    assert_eq!(a, "a_b-108bf50c");
    assert!(service_name("é").unwrap().bytes().all(plain));
}
