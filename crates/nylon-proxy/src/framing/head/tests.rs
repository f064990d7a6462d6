use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, headers: 8 };

fn check(head: &str) -> Result<Framing, Refusal> {
    assert_eq!(find_head_end(head.as_bytes(), 0), Some(head.len()), "{head:?}");
    let (length, framing) = check_head(head.as_bytes(), LIMITS)?.unwrap();
    assert_eq!(length, head.len());
    Ok(framing)
}

#[test]
fn framing_is_found() {
    assert_eq!(check("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::None));
    assert_eq!(check("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::None));
    assert_eq!(check("POST / HTTP/1.1\r\nHost:a:8080\r\nContent-Length: \t12 \r\n\r\n"), Ok(Framing::Length(12)));
    assert_eq!(check("POST / HTTP/1.1\r\nHost: [::1]:1\r\nContent-Length: 0\r\n\r\n"), Ok(Framing::None));
    assert_eq!(check("POST /?a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n"), Ok(Framing::Chunked));
    assert_eq!(check("GET http://A.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"), Ok(Framing::None));
    assert_eq!(check("OPTIONS * HTTP/1.1\r\nHost: a\r\nX: caf\u{e9}\t1\r\n\r\n"), Ok(Framing::None));
}

#[test]
fn long_heads_are_told_apart() {
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1024));
    assert_eq!(check(&target).map_err(|refusal| refusal.code), Err(ErrorCode::UriTooLong));
    let value = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1024));
    assert_eq!(check(&value).map_err(|refusal| refusal.code), Err(ErrorCode::HeadersTooLarge));
    let count = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(8));
    assert_eq!(check(&count).map_err(|refusal| refusal.code), Err(ErrorCode::HeadersTooLarge));
}

#[test]
fn the_end_is_found_from_anywhere() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let end = head.len() - 4;
    for from in 0..end {
        assert_eq!(find_head_end(head, from), Some(end));
    }
    for length in 0..end {
        assert_eq!(find_head_end(&head[..length], 0), None);
        assert_eq!(check_head(&head[..length], LIMITS), Ok(None));
    }
}

#[test]
fn the_codec_takes_every_target_that_passes() {
    for byte in 0x21..0x7f {
        let odd = char::from(byte);
        for (target, host) in [
            (format!("/a{odd}b"), "a".to_owned()),
            (format!("/a?{odd}b"), "a".to_owned()),
            (format!("http://a{odd}b/"), format!("a{odd}b")),
            (format!("http://a/{odd}"), "a".to_owned()),
        ] {
            let passes = check(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).is_ok();
            assert!(!passes || target.parse::<Uri>().is_ok(), "{target}");
        }
    }
}

#[test]
fn what_is_no_http_is_refused_before_its_line_ends() {
    for begin in ["\x16\x03\x01\x02", "ssh", "\0"] {
        assert!(check_head(begin.as_bytes(), LIMITS).is_err(), "{begin:?}");
    }
    assert_eq!(check_head(b"G", LIMITS), Ok(None));
}
