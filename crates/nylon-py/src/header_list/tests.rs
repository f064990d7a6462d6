use super::*;

fn list(pairs: &[(&str, &[u8])]) -> HeaderList {
    collect(pairs.iter().copied())
}

#[test]
fn lookup_ignores_case_and_takes_the_first() {
    let headers = list(&[("Accept", b"a"), ("accept", b"b"), ("x", b"")]);
    assert_eq!(first(&mut pairs(&headers), "ACCEPT").as_deref(), Some("a"));
    assert_eq!(first(&mut pairs(&headers), "x").as_deref(), Some(""));
    assert_eq!(first(&mut pairs(&headers), "Accept-Language"), None);
    assert_eq!(joined(&mut pairs(&headers), "accept").as_deref(), Some("a, b"));
    assert_eq!(values(&mut pairs(&headers), "accept"), ["a", "b"]);
    assert_eq!(merged(&mut pairs(&headers)), [("accept".into(), "a, b".into()), ("x".into(), String::new())]);
}

#[test]
fn cookies_are_joined_with_semicolons() {
    let headers = list(&[("cookie", b"a=1"), ("Cookie", b"b=2")]);
    assert_eq!(joined(&mut pairs(&headers), "Cookie").as_deref(), Some("a=1; b=2"));
    assert_eq!(merged(&mut pairs(&headers)), [("cookie".into(), "a=1; b=2".into())]);
}

#[test]
fn set_replaces_every_spelling() {
    let mut headers = list(&[("X-A", b"1"), ("x-b", b"2"), ("x-a", b"3")]);
    set(&mut headers, &Text::from("x-A"), &Bytes::from_static(b"4"));
    assert_eq!(headers, list(&[("x-b", b"2"), ("x-A", b"4")]));
    remove(&mut headers, "X-B");
    assert_eq!(headers, list(&[("x-A", b"4")]));
}

#[test]
fn values_that_are_not_utf8_are_read_as_latin1() {
    assert_eq!(decode("grün".as_bytes()), "grün");
    assert_eq!(decode(b"gr\xfcn"), "grün");
}
