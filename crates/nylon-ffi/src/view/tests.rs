use http::{HeaderName, Uri};

use super::*;

fn request(scheme: &str, host: &str, port: u16, uri: &'static str) -> Request {
    Request {
        id: "r1".into(),
        method: Method::GET,
        uri: Uri::from_static(uri),
        host: host.into(),
        port,
        headers: [("x-a", "1"), ("x-b", "2"), ("x-a", "3")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect(),
        params: Vec::new(),
        client_ip: std::net::Ipv6Addr::LOCALHOST.into(),
        tls: scheme == "https",
        websocket: false,
        content_length: None,
        timestamp_ms: 1,
        given: Default::default(),
        received: Instant::now(),
        route: "main".into(),
    }
}

fn read(view: &RequestView, number: u32, payload: &str) -> String {
    String::from_utf8(view.read(number, payload.as_bytes()).unwrap().to_vec()).unwrap()
}

#[test]
fn urls_have_the_port_that_their_scheme_does_not_imply() {
    let cases = [
        ("http", "a.test", 0, "/", "http://a.test/"),
        ("http", "a.test", 80, "/x?", "http://a.test/x?"),
        ("https", "a.test", 80, "/", "https://a.test:80/"),
        ("http", "a.test", 443, "/", "http://a.test:443/"),
        ("https", "[::1]", 8443, "/a?b=c", "https://[::1]:8443/a?b=c"),
    ];
    for (scheme, host, port, uri, expected) in cases {
        let view = RequestView::new(&request(scheme, host, port, uri), &HeaderFilter::default());
        assert_eq!(read(&view, method::READ_REQUEST_URL, ""), expected);
        assert_eq!(read(&view, method::READ_REQUEST_HOST, ""), host);
    }
}

#[test]
fn every_read_has_an_answer_also_of_what_is_not_there() {
    let view = RequestView::new(&request("http", "a.test", 0, "/"), &HeaderFilter::default());
    assert_eq!(read(&view, method::READ_REQUEST_HEADER, "X-A"), "1");
    assert_eq!(read(&view, method::READ_REQUEST_HEADER, "absent"), "");
    assert_eq!(read(&view, method::READ_REQUEST_HEADER, "no name"), "");
    assert_eq!(read(&view, method::READ_REQUEST_HEADER, ""), "");
    assert_eq!(read(&view, method::READ_REQUEST_QUERY, ""), "");
    assert_eq!(read(&view, method::READ_REQUEST_PARAMS, ""), "{}");
    assert_eq!(read(&view, method::READ_REQUEST_BYTES, ""), "0");
    assert_eq!(read(&view, method::READ_REQUEST_CLIENT_IP, ""), "::1");
}

#[test]
fn a_library_sees_no_header_that_its_middleware_may_not_have() {
    let names = |allow: Option<&'static str>, deny: &[&'static str]| {
        let filter = HeaderFilter {
            allow: allow.map(|name| vec![HeaderName::from_static(name)]),
            deny: deny.iter().map(|name| HeaderName::from_static(name)).collect(),
        };
        let view = RequestView::new(&request("http", "a.test", 0, "/"), &filter);
        (read(&view, method::READ_REQUEST_HEADER, "x-a"), read(&view, method::READ_REQUEST_HEADER, "x-b"))
    };
    assert_eq!(names(Some("x-b"), &[]), (String::new(), "2".to_owned()));
    assert_eq!(names(None, &["x-b"]), ("1".to_owned(), String::new()));
}
