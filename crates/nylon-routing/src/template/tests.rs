use std::net::Ipv4Addr;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The request of the examples in nylon-config §6.4.
struct Example(HeaderMap);

impl Example {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("Ex.com:8080"));
        headers.insert("x-one", HeaderValue::from_static("first"));
        headers.append("x-one", HeaderValue::from_static("second"));
        headers.insert("x-opaque", HeaderValue::from_bytes(b"\xff").unwrap());
        headers.insert("cookie", HeaderValue::from_static("a=1; b=%E0%B8%81+ ;b=2; empty="));
        Self(headers)
    }
}

impl Facts for Example {
    fn headers(&self) -> &HeaderMap {
        &self.0
    }
    fn query(&self) -> &str {
        "v=&q=a+b&q=c&thai=%E0%B8%81&bad=%zz%4&k%20y=z&flag"
    }
    fn param(&self, name: &str) -> Option<&str> {
        (name == "id").then_some("42")
    }
    fn client_ip(&self) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, 9).into()
    }
    fn host(&self) -> &str {
        "Ex.com"
    }
    fn tls(&self) -> bool {
        false
    }
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/u/42"
    }
    fn env(&self, name: &str) -> Option<String> {
        (name == "REGION").then(|| "eu".to_owned())
    }
    fn timestamp(&self) -> String {
        "2025-01-31T08:15:30.123Z".to_owned()
    }
    fn uuid(&self, version: UuidVersion) -> String {
        format!("{version:?}")
    }
}

fn rendered(text: &str) -> String {
    Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).render(&Example::new()).into_owned()
}

fn refused(text: &str) -> String {
    Template::parse(text).expect_err(text).to_string()
}

#[test]
fn the_examples_of_the_original_render_alike() {
    for (text, wanted) in [
        ("IP-${client_ip}", "IP-10.0.0.9"),
        ("${request(host)}", "Ex.com"),
        ("${header(host)}", "Ex.com:8080"),
        ("${query(q)}", "a b"),
        ("${query(v, 'x')}", "x"),
        ("${param(id)}", "42"),
        ("${or(env(NOPE), 'd')}", "d"),
        ("${eq(request(method), 'GET', 'r')}", "r"),
        ("${len('é')}", "2"),
        ("${timestamp()}", "2025-01-31T08:15:30.123Z"),
        ("${uuid(v4)} ${uuid(v7)}", "V4 V7"),
    ] {
        assert_eq!(rendered(text), wanted, "{text}");
    }
}

#[test]
fn each_function_does_what_its_name_says() {
    for (text, wanted) in [
        ("${header(X-ONE)}", "first"),
        ("${header('x-one')}", "first"),
        ("${header(x-opaque)}${header(absent)}", ""),
        ("${query(thai)}", "ก"),
        ("${query(bad)}", "%zz%4"),
        ("${query('k y')}${query(flag, 'empty')}", "zempty"),
        ("${cookie(a)} ${cookie(b)} ${cookie(empty, 'none')} ${cookie(A, header(x-one))}", "1 ก+ none first"),
        ("${param(nope, concat('a', 'b',))}", "ab"),
        ("${request(client_ip)} ${request(tls)} ${tls} ${host}", "10.0.0.9 false false Ex.com"),
        ("${request(path)} ${request(scheme)}", "/u/42 http"),
        ("${env(REGION)}", "eu"),
        ("${or('', \"it's\")}", "it's"),
        ("${eq('a', 'a')} ${eq('a', 'b')} ${neq('a', 'b')} ${neq('a', 'a', 'x')} ${neq('', 'b')}", "a  a  "),
        ("${upper('straße')} ${lower('ÀB')}", "STRASSE àb"),
        ("${if_cond('', 'then', 'else')} ${if_cond(request(tls), 'then', 'else')}", "else then"),
        ("${ concat ( 'a' ,\n 'b' ) }", "ab"),
    ] {
        assert_eq!(rendered(text), wanted, "{text}");
    }
}

#[test]
fn what_is_no_expression_stays_text() {
    for text in ["", "plain", "${}", "a ${ b", "$$", "}{", "${}${}", "\\$"] {
        assert_eq!(rendered(text), text);
        assert!(Template::parse(text).unwrap().constant().is_some());
    }
    assert_eq!(rendered("$${host}"), "$Ex.com");
    assert_eq!(rendered("${}${host}}"), "${}Ex.com}");
}

#[test]
fn what_the_original_drops_in_silence_is_an_error() {
    for (text, wanted) in [
        ("${bad!}", "${bad!}: there is \"!\" behind the expression"),
        ("${'abc}", "${'abc}: the closing ' is missing"),
        (
            "${x-request-id}",
            "nothing is called x-request-id; there are client_ip, host and tls, and texts stand in quotes",
        ),
        ("${upr('a')}", "there is no function upr; did you mean upper?"),
        ("${uper_case('a')}", "there is no function uper_case; there are header, query"),
        ("${header(a b)}", "expected , or ) behind an argument"),
        ("${header(host}", "expected , or ) behind an argument"),
        ("${header()}", "header() needs more arguments"),
        ("${header('a b')}", "\"a b\" is no header name"),
        ("${header(concat('a'))}", "header() takes a name, not what concat() gives"),
        ("${upper()}", "upper() needs more arguments"),
        ("${eq('a')}", "eq() needs more arguments"),
        ("${if_cond('a', 'b')}", "if_cond() needs more arguments"),
        ("${if_cond('a', 'b', 'c', 'd')}", "if_cond() has 1 more argument than it takes"),
        ("${uuid('v5')}", "uuid(v5) does not exist; there are v4 and v7"),
        ("${uuid()}", "uuid() needs more arguments"),
        ("${request(port)}", "request(port) does not exist; there are client_ip"),
        ("${or(,)}", "expected a name, a quoted text or a call, found ','"),
        ("${eq('a',}", "a name, a quoted text or a call is missing at its end"),
        ("${1}", "found '1'"),
        ("${ }", "missing at its end"),
    ] {
        let found = refused(text);
        assert!(found.contains(wanted), "{text}: {found}");
    }
    let deep = format!("${{{}'a'{}}}", "upper(".repeat(40), ")".repeat(40));
    assert!(refused(&deep).contains("nested more than 32 deep"));
}

#[test]
fn leaves_of_json_are_addressed_by_their_place() {
    let value = json!({
        "a.b": "${param(id)}", "list[0]": ["x", ["${host}", {"deep": "a\"${query(q)}\n"}]],
        "n": 1.5, "t": true, "z": null, "${host}": "key", "plain": "${}",
    });
    let rendered = JsonTemplate::compile(&value).unwrap().unwrap().render(&Example::new());
    let wanted = json!({
        "a.b": "42", "list[0]": ["x", ["Ex.com", {"deep": "a\"a b\n"}]],
        "n": 1.5, "t": true, "z": null, "${host}": "key", "plain": "${}",
    });
    assert_eq!(serde_json::from_slice::<Value>(&rendered).unwrap(), wanted);
    let text = JsonTemplate::compile(&json!("${host}")).unwrap().unwrap().render(&Example::new());
    assert_eq!(text, b"\"Ex.com\"", "a payload that is one string is rendered, too");
    assert_eq!(JsonTemplate::compile(&json!({"a": [1, "b", "${}"]})).unwrap(), None);
    let (place, error) = JsonTemplate::compile(&json!({"set": [{"value": "${no}"}]})).unwrap_err();
    assert_eq!((&*place, &*error.expression), (".set[0].value", "no"));
}

/// Expressions and what they render to.
fn expression() -> impl Strategy<Value = (String, String)> {
    let leaf = prop_oneof![
        "[a-z ,()ä$]{0,6}".prop_map(|text| (format!("'{text}'"), text)),
        Just(("host".to_owned(), "Ex.com".to_owned())),
        Just(("param( id )".to_owned(), "42".to_owned())),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("concat({a} ,{b},)"), format!("{x}{y}"))),
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("or({a},{b})"), if x.is_empty() { y } else { x })),
            inner.prop_map(|(a, x)| (format!("upper ({a})"), x.to_uppercase())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(text in "(\\$\\{|[a-z_'\"(), }{$]|\\PC){0,40}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&Example::new());
        }
    }

    #[test]
    fn text_without_a_dollar_is_itself(text in "[^$]*") {
        let template = Template::parse(&text).unwrap();
        prop_assert_eq!(template.constant(), Some(&*text));
    }

    #[test]
    fn expressions_render_as_they_are_built(before in "[^$]{0,5}", (text, value) in expression(), after in "[^$]{0,5}") {
        prop_assert_eq!(rendered(&format!("{before}${{{text}}}{after}")), format!("{before}{value}{after}"));
    }
}
