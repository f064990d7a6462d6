use super::*;
use crate::down::fuzz::pass;

#[test]
fn whole_messages_pass_in_pieces_of_any_size() {
    let input = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n";
    for step in 1..=input.len() {
        assert_eq!(pass(input, step), (input.to_vec(), None), "{step} bytes at a time");
    }
}

#[test]
fn no_byte_of_a_refused_head_passes() {
    let good = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let bad = b"GET /b HTTP/1.1\r\nHost : b\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n";
    let input = [&good[..], bad].concat();
    for step in 1..=input.len() {
        let (seen, stop) = pass(&input, step);
        assert_eq!(seen, good, "{step} bytes at a time");
        assert!(matches!(stop, Some(Stop::Head(_))), "{stop:?}");
    }
}

#[test]
fn an_endless_head_is_refused_when_it_is_too_long() {
    let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: 1\r\n".repeat(200));
    for step in [1, 7, 4096] {
        assert!(matches!(pass(input.as_bytes(), step), (seen, Some(Stop::Head(_))) if seen.is_empty()));
    }
}

proptest::proptest! {
    /// How the bytes arrive changes nothing: neither what the codec sees nor what is refused, except that a bad head that
    /// comes in pieces is refused only at its end.
    #[test]
    fn pieces_change_nothing(
        parts in proptest::collection::vec(proptest::sample::select(PARTS), 1..30),
        steps in proptest::collection::vec(1usize..60, 1..4),
    ) {
        let input: Vec<u8> = parts.concat();
        let whole = pass(&input, input.len());
        for step in steps {
            let (seen, stop) = pass(&input, step);
            // Of a bad chunk, the good bytes before the bad one may pass.
            let in_body = matches!(whole.1, Some(Stop::Body(_)));
            proptest::prop_assert!(seen == whole.0 || (in_body && seen.starts_with(&whole.0)));
            proptest::prop_assert!(stop.is_none() || whole.1.is_some());
            let mut ended = input.clone();
            ended.extend_from_slice(b"\r\n\r\n\r\n");
            let refused = pass(&ended, step).1.is_some();
            proptest::prop_assert_eq!(refused, pass(&ended, ended.len()).1.is_some());
        }
    }
}

/// What requests, good and bad, are made of.
const PARTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /a?b HTTP/1.1\r\n",
    b"POST http://a/ HTTP/1.0\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: 1\r\n\r\n",
    b"X: y\r\n",
    b"X : y\r\n",
    b" folded\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"x",
];
