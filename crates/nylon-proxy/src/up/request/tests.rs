use super::*;

fn encode(headers: &[(&str, &str)], change: impl FnOnce(&mut Outbound<'_>)) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let peer = Peer::new([10, 0, 0, 1].into());
    let mut outbound = Outbound {
        method: &Method::GET,
        target: "/a?b",
        headers: &map,
        id: b"id1",
        given: Given::default(),
        peer: &peer,
        trusted: false,
        tls: false,
        identity: false,
    };
    change(&mut outbound);
    let mut output = Vec::new();
    outbound.encode(&mut output, Framing::None, ([127, 0, 0, 1], 9000).into());
    String::from_utf8(output).unwrap()
}

#[test]
fn a_plain_request() {
    assert_eq!(
        encode(&[("Host", "a.test"), ("X-One", "1"), ("X-Two", "2"), ("X-Two", "3")], |_| {}),
        "GET /a?b HTTP/1.1\r\nhost: a.test\r\nx-one: 1\r\nx-two: 2\r\nx-two: 3\r\nx-forwarded-for: 10.0.0.1\r\n\
         x-forwarded-proto: http\r\nx-forwarded-host: a.test\r\nforwarded: for=10.0.0.1;host=a.test;proto=http\r\n\
         x-request-id: id1\r\n\r\n"
    );
}

#[test]
fn what_a_client_claims_is_replaced() {
    let claims = [
        ("host", "a:80"),
        ("x-forwarded-for", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("x-request-id", "evil"),
        ("x_forwarded_for", "1.1.1.1"),
        ("x-forwarded_proto", "https"),
        ("x_request_id", "evil"),
    ];
    let text = encode(&claims, |_| {});
    assert!(!text.contains("1.1.1.1") && !text.contains("evil") && !text.contains("https"), "{text}");
    assert!(text.contains("forwarded: for=10.0.0.1;host=\"a:80\";proto=http\r\n"), "{text}");
}

#[test]
fn a_host_is_one_value_of_forwarded() {
    for (host, value) in [
        ("a-1.test", "a-1.test"),
        ("[::1]:80", r#""[::1]:80""#),
        ("a;for=1.1.1.1;proto=https", r#""a;for=1.1.1.1;proto=https""#),
        ("a=b", r#""a=b""#),
        (r#"a";for="\b"#, r#""a\";for=\"\\b""#),
    ] {
        let text = encode(&[("host", host)], |_| {});
        let line = format!("\r\nforwarded: for=10.0.0.1;host={value};proto=http\r\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[test]
fn what_a_trusted_proxy_says_is_kept() {
    let claims = [
        ("host", "a"),
        ("x-forwarded-for", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "b"),
    ];
    let text = encode(&claims, |outbound| outbound.trusted = true);
    for line in [
        "x-forwarded-for: 1.1.1.1, 10.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: b",
        "forwarded: for=1.1.1.1, for=10.0.0.1;host=a;proto=http",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
    }
}

#[test]
fn hop_by_hop_headers_stay_behind() {
    let hops = [
        ("host", "a"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("proxy-authorization", "x"),
        ("transfer-encoding", "chunked"),
    ];
    let text = encode(&hops, |_| {});
    assert!(text.contains("\r\nte: trailers\r\nconnection: te\r\n"), "{text}");
    for gone in ["upgrade", "keep-alive", "expect", "proxy-", "transfer-encoding"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
}

#[test]
fn a_body_filter_gets_a_plain_whole_body() {
    let text = encode(&[("host", "a"), ("accept-encoding", "gzip"), ("range", "bytes=0-1")], |outbound| {
        outbound.identity = true
    });
    assert!(
        text.contains("accept-encoding: identity\r\n") && !text.contains("gzip") && !text.contains("range"),
        "{text}"
    );
}

#[test]
fn ipv6_peers_are_quoted() {
    let peer = Peer::new("2001:db8::1".parse().unwrap());
    assert_eq!((&*peer.plain, &*peer.node), ("2001:db8::1", "for=\"[2001:db8::1]\""));
    let mapped = Peer::new("::ffff:10.0.0.1".parse().unwrap());
    assert_eq!((&*mapped.plain, &*mapped.node), ("10.0.0.1", "for=10.0.0.1"));
}
