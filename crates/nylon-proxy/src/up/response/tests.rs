use super::*;

fn head(text: &str) -> Result<Option<Head>, &'static str> {
    take_head(&mut BytesMut::from(text), &Method::GET)
}

#[test]
fn framing_follows_the_rfc() {
    for (text, framing, keep_alive) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), true),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            Framing::Length(5),
            false,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n", Framing::Chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", Framing::Close, false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), false),
        ("HTTP/1.1 204 No Content\r\n\r\n", Framing::None, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::None, true),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
            Framing::None,
            true,
        ),
    ] {
        let head = head(text).unwrap().unwrap();
        assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{text:?}");
    }
    let head =
        take_head(&mut BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), &Method::HEAD).unwrap().unwrap();
    assert_eq!((head.framing, head.content_length), (Framing::None, Some(5)));
}

#[test]
fn what_could_be_two_messages_is_refused() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        "NOPE\r\n\r\n",
    ] {
        assert!(head(text).is_err(), "{text:?}");
    }
}

#[test]
fn hop_by_hop_headers_stay_behind() {
    let text = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n";
    let head = head(text).unwrap().unwrap();
    assert_eq!(head.headers.len(), 1);
    assert_eq!(head.headers["x-end"], "2");
}

#[test]
fn an_unfinished_head_waits_and_an_endless_one_fails() {
    assert!(head("HTTP/1.1 200 OK\r\nX: 1\r\n").unwrap().is_none());
    assert!(head(&format!("HTTP/1.1 200 OK\r\n{}", "X: 1\r\n".repeat(MAX_HEAD / 6))).is_err());
}
