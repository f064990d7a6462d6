//! What is refused, and how it is said.

use crate::support::{compile, link, path, path_for, route, with_routes};
use nylon_routing::{Middleware, Place, Side};
use serde_json::{Value, json};

/// `where: problem` of a configuration that is refused.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let error = compile(change).unwrap_err();
    format!("{}: {}", error.at, error.problem)
}

fn refused_routes(routes: Vec<Value>) -> String {
    refused(|config| config["routes"] = Value::Array(routes))
}

fn refused_paths(paths: Vec<Value>) -> String {
    refused_routes(vec![route("r", "host", &["*"], paths)])
}

#[test]
fn the_smallest_configuration_compiles() {
    let snapshot = compile(|_| {}).unwrap();
    assert_eq!(snapshot.revision.number, 1);
    assert_eq!(snapshot.path_count, 1);
    assert_eq!(snapshot.limits.max_request_body_bytes, None);
}

#[test]
fn a_gateway_without_listeners_compiles() {
    // The control plane warns about it; both have to agree on what a configuration is.
    assert!(compile(|config| config["process"]["listen"] = json!([])).is_ok());
}

#[test]
fn nothing_has_a_default() {
    /// Every way to leave out one key.
    fn cut(value: &Value, at: &str, found: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => {
                for key in map.keys() {
                    let mut without = map.clone();
                    without.remove(key);
                    found.push((format!("{at}.{key}"), Value::Object(without)));
                    let mut inner = Vec::new();
                    cut(&map[key], &format!("{at}.{key}"), &mut inner);
                    for (at, value) in inner {
                        let mut with = map.clone();
                        with.insert(key.clone(), value);
                        found.push((at, Value::Object(with)));
                    }
                }
            }
            Value::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    let mut inner = Vec::new();
                    cut(item, &format!("{at}[{index}]"), &mut inner);
                    for (at, value) in inner {
                        let mut with = list.clone();
                        with[index] = value;
                        found.push((at, Value::Array(with)));
                    }
                }
            }
            _ => {}
        }
    }
    let mut config = crate::support::config();
    config["routes"][0]["paths"][0]["chain"] = json!([link("auth", "check")]);
    config["messaging"][0]["tls"] = json!({"ca_file": null, "cert_file": null, "key_file": null});
    config["messaging"][0]["auth"] = json!({"user": "u", "password": "p"});
    assert!(nylon_routing::Snapshot::compile(config.to_string().as_bytes()).is_ok());
    let mut cuts = Vec::new();
    cut(&config, "", &mut cuts);
    assert!(cuts.len() > 90, "{}", cuts.len());
    for (at, config) in cuts {
        assert!(nylon_routing::Snapshot::compile(config.to_string().as_bytes()).is_err(), "{at} was not missed");
    }
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    for pointer in [
        "",
        "/revision",
        "/process",
        "/limits",
        "/messaging/0",
        "/plugins/0",
        "/services/0",
        "/services/0/endpoints/0",
        "/services/1",
        "/services/1/link",
        "/services/1/link/on_error",
        "/services/1/link/headers",
        "/routes/0",
        "/routes/0/match",
        "/routes/0/paths/0",
    ] {
        let problem = refused(|config| config.pointer_mut(pointer).unwrap()["typo"] = json!(1));
        assert!(problem.contains("unknown field `typo`"), "{pointer}: {problem}");
    }
}

#[test]
fn credentials_are_read_and_never_printed() {
    for auth in [
        json!({"user": "secret", "password": "secret"}),
        json!({"token": "secret"}),
        json!({"nkey_seed": "secret"}),
        json!({"creds_file": "/secret"}),
    ] {
        let snapshot = compile(|config| config["messaging"][0]["auth"] = auth).unwrap();
        assert!(!format!("{snapshot:?}").contains("secret"));
    }
    assert!(compile(|config| config["messaging"][0]["auth"] = json!({"token": "t", "user": "u"})).is_err());
}

#[test]
fn names_are_resolved() {
    let mut chained = path(&["/"]);
    chained["chain"] = json!([link("auth", "check"), link("auth", "hello"), link("auth", "check")]);
    let snapshot = with_routes(vec![route("r", "host", &["*"], vec![chained])]).unwrap();
    let path = &snapshot.routes[0].paths[0];
    let name = |middleware: &Middleware| match middleware {
        Middleware::Entry(link) => snapshot.entries[link.entry].name.to_string(),
        Middleware::Modifier(_) => panic!("it is an entry"),
    };
    let entries: Vec<String> = path.chain.iter().map(name).collect();
    assert_eq!(entries, ["check", "hello", "check"]);
    assert_eq!(snapshot.entries.len(), 2, "an entry is there once, also the one of the service");
    let Place::Messaging(place) = &snapshot.plugin(&snapshot.entries[0]).place else { panic!("it is on nats") };
    assert_eq!(&*place.group, "auth_workers");
    assert_eq!(&*snapshot.service(path).name, "api");
}

#[test]
fn paths_are_numbered_over_all_routes() {
    let one = route("one", "host", &["a"], vec![path(&["/a"]), path(&["/b"])]);
    let two = route("two", "host", &["b"], vec![path(&["/a"])]);
    let snapshot = with_routes(vec![one, two]).unwrap();
    let numbers: Vec<usize> = snapshot.routes.iter().flat_map(|route| &route.paths).map(|path| path.index).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert_eq!(snapshot.path_count, 3);
}

#[test]
fn dangling_names_are_refused() {
    let problem = refused(|config| config["routes"][0]["paths"][0]["service"] = json!("apo"));
    assert_eq!(problem, "routes[main].paths[0].service: there is no service called \"apo\"");
    let problem = refused(|config| config["routes"][0]["paths"][0]["chain"] = json!([link("outh", "check")]));
    assert_eq!(problem, "routes[main].paths[0].chain[0].plugin: there is no plugin called \"outh\"");
    let problem = refused(|config| config["plugins"][0]["messaging"] = json!("remote"));
    assert_eq!(problem, "plugins[auth].messaging: there is no messaging called \"remote\"");
    let problem = refused(|config| config["services"][1]["link"]["plugin"] = json!("outh"));
    assert_eq!(problem, "services[hello].link.plugin: there is no plugin called \"outh\"");
}

#[test]
fn names_are_unique() {
    for list in ["messaging", "plugins", "services", "routes"] {
        let problem = refused(|config| {
            let first = config[list][0].clone();
            config[list].as_array_mut().unwrap().insert(1, first);
        });
        assert!(problem.starts_with(&format!("{list}[1].name: ")), "{problem}");
        assert!(problem.ends_with(&format!("is taken by {list}[0] already")), "{problem}");
    }
}

#[test]
fn hosts_are_unique_whatever_their_spelling() {
    let routes = |first: &str, second: &str| {
        refused_routes(vec![
            route("one", "host", &[first], vec![path(&["/"])]),
            route("two", "host", &["x.test", second], vec![path(&["/"])]),
        ])
    };
    assert_eq!(
        routes("a.test", "A.test."),
        "routes[two].match.values[1]: \"A.test.\" is the value of another route too"
    );
    assert_eq!(routes("*", "*"), "routes[two].match.values[1]: \"*\" is the value of another route too");
    assert_eq!(routes("::1", "[0::1]"), "routes[two].match.values[1]: \"[0::1]\" is the value of another route too");
}

#[test]
fn hosts_are_hosts() {
    let host = |value: &str| refused_routes(vec![route("r", "host", &[value], vec![path(&["/"])])]);
    for value in ["a.test:8080", "*.test", "", "a b", "http://a"] {
        assert!(host(value).contains("is no host"), "{value}");
    }
    assert!(host(&"a".repeat(300)).contains("is too long"));
}

#[test]
fn ambiguous_patterns_are_refused_per_method() {
    let ambiguous = |first: &str, second: &str| {
        let problem = refused_paths(vec![path_for(&["GET"], &[first]), path_for(&["GET", "PUT"], &[second])]);
        assert_eq!(
            problem,
            format!("routes[r].paths[1].patterns[0]: {second:?} is ambiguous with {first:?} of the same route for GET")
        );
        let separate = vec![path_for(&["GET"], &[first]), path_for(&["PUT"], &[second])];
        assert!(with_routes(vec![route("r", "host", &["*"], separate)]).is_ok());
    };
    ambiguous("/a", "/a");
    ambiguous("/u/{id}", "/u/{name}");
    ambiguous("/{id}", "/{*rest}");
    let both = vec![path(&["/{id}/x", "/{name}/y"])];
    assert!(with_routes(vec![route("r", "host", &["*"], both)]).is_ok(), "different ends may coexist");
}

#[test]
fn patterns_are_checked() {
    let pattern = |text: &str| refused_paths(vec![path(&["/ok", text])]);
    let at = "routes[r].paths[0].patterns[1]: ";
    assert_eq!(pattern("a"), format!("{at}\"a\" does not start with / and would never match"));
    assert_eq!(pattern("/{a}-{b}"), format!("{at}\"/{{a}}-{{b}}\" has two parameters in one segment"));
    assert_eq!(pattern("/{}"), format!("{at}a parameter in \"/{{}}\" has no name"));
    assert_eq!(pattern("/{a"), format!("{at}a brace in \"/{{a\" is never closed"));
    assert_eq!(
        pattern("/{*a}/b"),
        format!("{at}\"/{{*a}}/b\" has a catch-all that is not at the end or not a whole segment")
    );
    assert_eq!(pattern("/{a}/{a}"), format!("{at}\"/{{a}}/{{a}}\" has two parameters called \"a\""));
    assert!(refused_paths(vec![path(&[])]).ends_with("patterns: is empty; the path would never match"));
}

#[test]
fn methods_are_checked() {
    let methods = |list: &[&str]| refused_paths(vec![path_for(list, &["/"])]);
    let at = "routes[r].paths[0].methods";
    assert_eq!(methods(&[]), format!("{at}: is empty; the path would never match"));
    assert_eq!(methods(&["GET", "post"]), format!("{at}[1]: \"post\" is not in upper case and would never match"));
    assert_eq!(methods(&["A B"]), format!("{at}[0]: \"A B\" is no method"));
}

#[test]
fn a_pattern_that_no_path_looks_like_is_refused() {
    let pattern = |text: &str| refused_paths(vec![path(&["/ok", text])]);
    let at = "routes[r].paths[0].patterns[1]: ";
    for (text, form) in [
        ("/a//{id}", "/a/{}"),
        ("/%61", "/a"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/café", "/caf%C3%A9"),
        ("/a b", "/a%20b"),
    ] {
        assert_eq!(pattern(text), format!("{at}{text:?} is no path as the gateway sees them; write {form:?}"));
    }
    for (text, problem) in [("/a/../b", "a dot segment"), ("/{a}%5Cb", "a backslash"), ("/a%", "a % that is no escape")]
    {
        assert_eq!(pattern(text), format!("{at}{text:?} can be no path of a request: the path has {problem}"));
    }
    for (text, reading) in [("/%40a", "/@a"), ("/a;b/c", "/a/c")] {
        let expected = format!("{at}{text:?} would never match, as it can be read as {reading:?}, too: write that");
        assert_eq!(pattern(text), expected);
    }
    for text in ["/.well-known/{*rest}", "/.{hidden}", "/{{x}}", "/@me:1", "/caf%C3%A9/100%25"] {
        assert!(with_routes(vec![route("r", "host", &["*"], vec![path(&[text])])]).is_ok(), "{text}");
    }
    let mut rewritten = path(&["/{*rest}"]);
    rewritten["rewrite"] = json!("/a/../{rest}");
    assert!(refused_paths(vec![rewritten]).ends_with("can be no path of a request: the path has a dot segment"));
}

#[test]
fn an_encoded_slash_is_written_only_where_requests_may_have_it() {
    let mut entry = path(&["/ok", "/{a}%2Fb"]);
    let needs = "needs encoded_slashes: keep";
    assert_eq!(refused_paths(vec![entry.clone()]), format!("routes[r].paths[0].patterns[1]: \"/{{a}}%2Fb\" {needs}"));
    entry["patterns"] = json!(["/{a}"]);
    entry["rewrite"] = json!("/x%2F{a}");
    assert_eq!(refused_paths(vec![entry.clone()]), format!("routes[r].paths[0].rewrite: \"/x%2F{{a}}\" {needs}"));
    entry["patterns"] = json!(["/{a}%2Fb"]);
    entry["encoded_slashes"] = json!("keep");
    assert!(with_routes(vec![route("r", "host", &["*"], vec![entry])]).is_ok());
}

#[test]
fn rewrites_and_stripped_headers_are_checked() {
    let mut bad = path(&["/{*path}"]);
    bad["rewrite"] = json!("/{rest}");
    assert_eq!(
        refused_paths(vec![bad]),
        "routes[r].paths[0].rewrite: \"/{rest}\" uses {rest}, which no pattern of this path has"
    );
    let strip = |name: &str| refused(|config| config["routes"][0]["strip_headers"] = json!([name]));
    assert_eq!(strip("a b"), "routes[main].strip_headers[0]: \"a b\" is no header name");
    assert_eq!(
        strip("Content-Length"),
        "routes[main].strip_headers[0]: content-length belongs to the message and cannot be stripped"
    );
}

#[test]
fn modifiers_take_their_place_in_the_chain() {
    let mut chained = path(&["/"]);
    let mut modifier = link("ResponseHeaderModifier", "");
    modifier["payload"] = json!(r#"{"set":[{"name":"x-${host}","value":1.5}],"remove":["server"]}"#);
    chained["chain"] = json!([link("RequestHeaderModifier", ""), link("auth", "check"), modifier]);
    let snapshot = with_routes(vec![route("r", "host", &["*"], vec![chained])]).unwrap();
    let [Middleware::Modifier(first), Middleware::Entry(_), Middleware::Modifier(last)] =
        &snapshot.routes[0].paths[0].chain[..]
    else {
        panic!("{:?}", snapshot.routes[0].paths[0].chain)
    };
    let (first, last) = (&snapshot.modifiers[*first], &snapshot.modifiers[*last]);
    assert!(first.side == Side::Request && first.set.is_empty() && first.remove.is_empty());
    assert!(last.side == Side::Response && last.set[0].0.constant().is_none());
    assert_eq!((last.set[0].1.constant(), last.remove[0].constant()), (Some("1.5"), Some("server")));
}

#[test]
fn templates_and_modifiers_are_checked_with_their_place() {
    for (plugin, payload, expected) in [
        ("auth", r#"{"a":["${upr('x')}"]}"#, ".a[0]: ${upr('x')}: there is no function upr; did you mean upper?"),
        ("RequestHeaderModifier", "[]", ": is no mapping with 'set' and 'remove'"),
        ("RequestHeaderModifier", r#"{"sets":[]}"#, ".sets: is unknown; there are 'set' and 'remove'"),
        ("RequestHeaderModifier", r#"{"set":{}}"#, ".set: is no list"),
        ("RequestHeaderModifier", r#"{"set":[{"name":"x"}]}"#, ".set[0]: has no 'value'"),
        ("RequestHeaderModifier", r#"{"set":[{"name":"x","value":[]}]}"#, ".set[0].value: is no text"),
        ("RequestHeaderModifier", r#"{"set":[{"name":"a b","value":""}]}"#, ".set[0].name: \"a b\" is no header name"),
        ("ResponseHeaderModifier", r#"{"set":[{"name":"a","value":"b\r\nc"}]}"#, ".set[0].value: has characters that"),
        (
            "ResponseHeaderModifier",
            r#"{"set":[{"name":"a","value":"${host}\n"}]}"#,
            ".set[0].value: has characters that",
        ),
        ("ResponseHeaderModifier", r#"{"remove":["${host"]}"#, ".remove[0]: \"${host\" is no header name"),
        (
            "ResponseHeaderModifier",
            r#"{"remove":["${no}"]}"#,
            ".remove[0]: ${no}: nothing is called no; there are client_ip",
        ),
    ] {
        let problem = refused(|config| {
            let mut link = link(plugin, "check");
            link["payload"] = json!(payload);
            config["routes"][0]["paths"][0]["chain"] = json!([link]);
        });
        let at = "routes[main].paths[0].chain[0].payload";
        assert!(problem.starts_with(&format!("{at}{expected}")), "{payload}: {problem}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for (pointer, value, expected) in [
        ("/process/threads", json!(0), "process.threads: is 0; at least one thread is needed"),
        ("/limits/max_headers", json!(0), "limits.max_headers: is 0; it has to be more"),
        ("/plugins/0/config_hash", json!("abc"), "plugins[auth].config_hash: \"abc\" is no hex sha-256"),
        ("/header_selector", json!("a b"), "header_selector: \"a b\" is no header name"),
        ("/messaging/0/servers", json!([]), "messaging[local].servers: is empty; there is nothing to connect to"),
        ("/plugins/0/group", json!(""), "plugins[auth].group: is empty"),
        ("/plugins/0/config", json!("{"), "plugins[auth].config: is not json: "),
        ("/services/0/endpoints", json!([]), "services[api].endpoints: is empty; every request would fail"),
        ("/services/0/endpoints/0/weight", json!(0), "services[api].endpoints: no endpoint has a weight above 0"),
        ("/services/0/connect_timeout_ms", json!(0), "services[api].connect_timeout_ms: is 0; it has to be more"),
        ("/services/1/link/entry", json!(""), "services[hello].link.entry: is empty"),
        ("/services/1/link/retry", json!(2), "services[hello].link.retry: is 2; 0 and 1 are possible"),
        ("/services/1/link/timeout_ms", json!(0), "services[hello].link.timeout_ms: is 0; it has to be more"),
        ("/services/1/link/payload", json!("nope"), "services[hello].link.payload: is not json: "),
        (
            "/services/1/link/phases",
            json!([]),
            "services[hello].link.phases: is empty; the middleware would do nothing",
        ),
        ("/services/1/link/headers/deny", json!([""]), "services[hello].link.headers.deny[0]: \"\" is no header name"),
        ("/routes/0/match/values", json!([]), "routes[main].match.values: is empty; nothing would match"),
    ] {
        let problem = refused(|config| *config.pointer_mut(pointer).unwrap() = value);
        assert!(problem.starts_with(expected), "{pointer}: {problem}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let error = nylon_routing::Snapshot::compile(b"{\"revision\": 1}").unwrap_err();
    assert!(error.to_string().starts_with("compiling the snapshot: json: invalid type: integer `1`"), "{error}");
    for (pointer, value) in [
        ("/services/0/algorithm", json!("random")),
        ("/services/0/type", json!("static")),
        ("/services/0/endpoints/0/address", json!("localhost:80")),
        ("/plugins/0/type", json!("ffi")),
        ("/plugins/0/type", json!("wasm")),
        ("/plugins/0/balance", json!("fair")),
        ("/trusted_proxies", json!(["10.0.0.0/33"])),
        ("/services/1/link/on_error/logging", json!("ignore")),
    ] {
        let problem = refused(|config| *config.pointer_mut(pointer).unwrap() = value);
        assert!(problem.starts_with("json: "), "{pointer}: {problem}");
    }
}
