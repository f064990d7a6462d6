//! Paths that two readers could understand differently: none reaches an upstream past the middleware of the path that
//! the upstream would take it for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use nylon_plugin::Phase::RequestFilter;
use nylon_proxy::Gateway;
use serde_json::{Value, json};
use support::{
    Client, Upstream,
    scripted::{Scripts, end, gateway_with, link, next, set_request, status},
};

/// Nobody gets past the plugin on `/auth`; everything else is open. Below `/kept` slashes may be encoded.
fn guarded(upstream: &Upstream) -> Gateway {
    let scripts = Scripts::new().entry("deny", &[RequestFilter], |_, _| end(vec![status(401)]));
    let path = |patterns: Value, slashes: &str, chain: Value| json!({"patterns": patterns, "methods": null, "encoded_slashes": slashes, "service": "api", "rewrite": null, "chain": chain});
    gateway_with(upstream, &scripts, vec![], |snapshot| {
        snapshot["routes"][0]["paths"] = json!([
            path(json!(["/auth", "/auth/", "/auth/{*path}", "/@admin", "/kept/auth"]), "refuse", json!([link("deny")])),
            path(json!(["/kept/{*path}"]), "keep", json!([])),
            path(json!(["/", "/{*path}"]), "refuse", json!([])),
        ]);
    })
}

fn stopped(target: &str, status: u16) {
    let upstream = Upstream::echo();
    let gateway = guarded(&upstream);
    let mut client = Client::connect(&gateway);
    let answer = client.get(target);
    assert_eq!(answer.status, status, "{target}");
    if status == 400 {
        assert_eq!(answer.error(), "BAD_REQUEST", "{target}");
    }
    assert_eq!(upstream.requests().len(), 0, "{target}");
    assert_eq!(client.get("/good").text(), "GET /good HTTP/1.1", "the connection is kept: {target}");
}

macro_rules! stopped {
    ($($name:ident: $target:literal => $status:literal;)*) => {
        $(#[test]
        fn $name() {
            stopped($target, $status);
        })*
    };
}

stopped! {
    the_path_itself: "/auth/x" => 401;
    two_slashes: "//auth/x" => 401;
    many_slashes: "///auth///x" => 401;
    an_absolute_target_with_two_slashes: "http://a.test//auth/x" => 401;
    an_encoded_letter: "/%61uth/x" => 401;
    all_letters_encoded: "/%61%75%74%68" => 401;
    two_dots: "/open/../auth/x" => 400;
    one_dot: "/./auth" => 400;
    one_dot_within: "/auth/./x" => 400;
    two_dots_at_the_end: "/auth/x/.." => 400;
    above_the_root: "/../auth/x" => 400;
    encoded_dots: "/open/%2e%2e/auth/x" => 400;
    half_encoded_dots: "/open/.%2E/auth/x" => 400;
    dots_in_an_absolute_target: "http://a.test/open/../auth" => 400;
    dots_with_parameters: "/open/..;/auth/x" => 400;
    dots_with_encoded_parameters: "/open/..%3bx/auth/x" => 400;
    an_encoded_slash: "/auth%2fx" => 400;
    an_encoded_slash_behind_dots: "/open/..%2Fauth/x" => 400;
    dots_behind_a_kept_slash: "/kept/x%2f..%2fauth" => 400;
    dots_before_a_kept_slash: "/kept/..%2Fauth/x" => 400;
    encoded_dots_behind_a_kept_slash: "/kept/x%2F%2e%2e/auth" => 400;
    dots_with_parameters_behind_a_kept_slash: "/kept/x%2F..;/auth" => 400;
    a_kept_slash_that_leads_elsewhere: "/kept/%2Fauth" => 400;
    a_kept_slash_behind_parameters: "/kept/auth;a%2Fb" => 400;
    a_kept_slash_in_the_place_of_another: "/kept%2Fauth" => 400;
    an_encoded_backslash: "/auth%5cx" => 400;
    encoded_nul: "/auth%00" => 400;
    encoded_line_end: "/auth%0d%0a" => 400;
    an_escape_of_one_digit: "/auth%2" => 400;
    an_escape_of_other_letters: "/%u0061uth/x" => 400;
    parameters_of_a_segment: "/auth;v=1/x" => 400;
    encoded_parameters_of_a_segment: "/auth%3bv=1/x" => 400;
    an_empty_segment_of_parameters: "/;/auth/x" => 400;
    an_encoded_reserved_character: "/%40admin" => 400;
}

#[test]
fn plugins_and_upstreams_see_the_path_that_was_matched() {
    let upstream = Upstream::echo();
    let scripts = Scripts::new().entry("look", &[RequestFilter], |_, exchange| {
        assert_eq!(exchange.request.path(), "/open/~a/caf%C3%A9");
        assert_eq!(exchange.request.params, [("path".into(), "open/~a/caf%C3%A9".into())]);
        next(vec![set_request("x-seen", "yes")])
    });
    let gateway = gateway_with(&upstream, &scripts, vec![link("look")], |_| {});
    let answer = Client::connect(&gateway).get("//%6fpen///%7ea/caf%c3%a9?next=//x/../%2e%2f");
    assert_eq!(answer.text(), "GET /open/~a/caf%C3%A9?next=//x/../%2e%2f HTTP/1.1");
    assert_eq!(upstream.request().header("x-seen"), Some("yes"));
}

#[test]
fn what_nobody_misunderstands_passes_as_it_is() {
    let upstream = Upstream::echo();
    let gateway = guarded(&upstream);
    let mut client = Client::connect(&gateway);
    for path in ["/a.b/..c/.d/e...", "/a;v=1/b", "/me%40x.org", "/%25%3F%20", "/.well-known/x", "/a/", "/(!$&'*+,=:@)"]
    {
        assert_eq!(client.get(path).text(), format!("GET {path} HTTP/1.1"));
    }
}

#[test]
fn an_encoded_slash_is_kept_where_the_path_says_so() {
    let upstream = Upstream::echo();
    let gateway = guarded(&upstream);
    let mut client = Client::connect(&gateway);
    for (target, forwarded) in [
        ("/kept/group%2Fproject/files?path=a%2fb", "/kept/group%2Fproject/files?path=a%2fb"),
        ("/kept/%2f/queue", "/kept/%2F/queue"),
        ("/kept/@scope%2Fname", "/kept/@scope%2Fname"),
    ] {
        assert_eq!(client.get(target).text(), format!("GET {forwarded} HTTP/1.1"));
    }
}

#[test]
fn a_rewrite_makes_no_dot_segments() {
    let upstream = Upstream::echo();
    let gateway = support::gateway_with(&upstream, |snapshot| {
        snapshot["routes"][0]["paths"][0]["patterns"] = json!(["/v{*rest}"]);
        snapshot["routes"][0]["paths"][0]["rewrite"] = json!("/inner/{rest}");
        snapshot["routes"][0]["paths"][0]["encoded_slashes"] = json!("keep");
    });
    let mut client = Client::connect(&gateway);
    for path in ["/v../x", "/v..%2Fx"] {
        assert_eq!(client.get(path).error(), "BAD_REQUEST", "{path}");
    }
    assert_eq!(client.get("/v/x?y").text(), "GET /inner/x?y HTTP/1.1");
    assert_eq!(client.get("/va%2Fx").text(), "GET /inner/a%2Fx HTTP/1.1");
}
