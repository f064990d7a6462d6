//! Which route, path and method a request matches (nylon-config §4, with its corrections).

use crate::support::{find, find_with, path, path_for, route, with_routes};
use http::{HeaderMap, HeaderValue};
use nylon_routing::{Snapshot, split_authority};
use serde_json::Value;

/// One route for every host with these patterns.
fn patterns(patterns: &[&str]) -> Snapshot {
    with_routes(vec![route("r", "host", &["*"], vec![path(patterns)])]).unwrap()
}

fn hosts() -> Snapshot {
    let route = |name: &str, values: &[&str]| route(name, "host", values, vec![path(&["/a"])]);
    with_routes(vec![route("ab", &["a.test", "B.Test"]), route("any", &["*"]), route("six", &["::1", "10.0.0.1"])])
        .unwrap()
}

#[test]
fn an_exact_host_wins_over_the_catch_all() {
    let snapshot = hosts();
    assert_eq!(find(&snapshot, "GET", "a.test", "/a"), "ab /a");
    assert_eq!(find(&snapshot, "GET", "c.test", "/a"), "any /a");
    assert_eq!(find(&snapshot, "GET", "", "/a"), "any /a");
}

#[test]
fn hosts_are_compared_without_case_and_trailing_dot() {
    let snapshot = hosts();
    for host in ["A.TEST", "a.test.", "b.test", "B.TEST."] {
        assert_eq!(find(&snapshot, "GET", host, "/a"), "ab /a", "{host}");
    }
}

#[test]
fn ip_literals_are_hosts() {
    let snapshot = hosts();
    for host in ["[::1]", "[0:0:0:0:0:0:0:1]", "10.0.0.1"] {
        assert_eq!(find(&snapshot, "GET", host, "/a"), "six /a", "{host}");
    }
    assert_eq!(find(&snapshot, "GET", "[::2]", "/a"), "any /a");
}

#[test]
fn a_host_longer_than_any_name_is_no_exact_host() {
    assert_eq!(find(&hosts(), "GET", &"a".repeat(100_000), "/a"), "any /a");
}

#[test]
fn no_route_for_the_host_is_404() {
    let snapshot = with_routes(vec![route("r", "host", &["a.test"], vec![path(&["/a"])])]).unwrap();
    assert_eq!(find(&snapshot, "GET", "b.test", "/a"), "404");
}

#[test]
fn the_route_of_a_host_is_final() {
    let snapshot = with_routes(vec![
        route("a", "host", &["a.test"], vec![path(&["/a"])]),
        route("any", "host", &["*"], vec![path(&["/b"])]),
    ])
    .unwrap();
    assert_eq!(find(&snapshot, "GET", "a.test", "/b"), "404");
}

#[test]
fn the_selector_header_comes_before_the_host() {
    let snapshot = with_routes(vec![
        route("blue", "header", &["Blue", "*"], vec![path(&["/a"])]),
        route("any", "host", &["*"], vec![path(&["/a", "/b"])]),
    ])
    .unwrap();
    let ask = |value: &'static str, path| {
        let mut headers = HeaderMap::new();
        headers.append("x-nylon-proxy", HeaderValue::from_static(value));
        headers.append("x-nylon-proxy", HeaderValue::from_static("second"));
        find_with(&snapshot, "GET", "x", path, &headers)
    };
    assert_eq!(ask("Blue", "/a"), "blue /a");
    assert_eq!(ask("Blue", "/b"), "404", "a route that was selected is final");
    assert_eq!(ask("blue", "/a"), "any /a", "values are compared with case");
    assert_eq!(ask("green", "/a"), "any /a");
    assert_eq!(ask("*", "/a"), "blue /a", "the star is a value like any other");
}

#[test]
fn static_wins_over_parameter_over_catch_all_whatever_the_order() {
    let mut list = ["/a/b", "/a/{x}", "/{*rest}", "/a/b/c", "/a/{x}/d"];
    for _ in 0..list.len() {
        list.rotate_left(1);
        let snapshot = patterns(&list);
        assert_eq!(find(&snapshot, "GET", "h", "/a/b"), "r /a/b");
        assert_eq!(find(&snapshot, "GET", "h", "/a/c"), "r /a/{x} x=c");
        assert_eq!(find(&snapshot, "GET", "h", "/b"), "r /{*rest} rest=b");
        assert_eq!(find(&snapshot, "GET", "h", "/a/b/d"), "r /a/{x}/d x=b", "goes back from /a/b/c");
        assert_eq!(find(&snapshot, "GET", "h", "/a/b/"), "r /{*rest} rest=a/b/", "goes back from /a/b");
    }
}

#[test]
fn a_catch_all_needs_at_least_one_character() {
    let snapshot = patterns(&["/api/{*path}"]);
    assert_eq!(find(&snapshot, "GET", "h", "/api/a/b"), "r /api/{*path} path=a/b");
    assert_eq!(find(&snapshot, "GET", "h", "/api/"), "404");
    assert_eq!(find(&snapshot, "GET", "h", "/api"), "404");
}

#[test]
fn a_parameter_is_one_segment_that_is_not_empty() {
    let snapshot = patterns(&["/u/{id}", "/u/{id}/edit"]);
    assert_eq!(find(&snapshot, "GET", "h", "/u/"), "404");
    assert_eq!(find(&snapshot, "GET", "h", "/u//edit"), "404");
    assert_eq!(find(&snapshot, "GET", "h", "/u/7/edit"), "r /u/{id}/edit id=7");
}

#[test]
fn literals_around_a_parameter_are_fine() {
    let snapshot = patterns(&["/v{id}", "/f/{name}.json", "/pre/{*rest}", "/{{x}}"]);
    assert_eq!(find(&snapshot, "GET", "h", "/v12"), "r /v{id} id=12");
    assert_eq!(find(&snapshot, "GET", "h", "/f/a.json"), "r /f/{name}.json name=a");
    assert_eq!(find(&snapshot, "GET", "h", "/{x}"), "r /{{x}}");
}

#[test]
fn slashes_at_the_end_matter() {
    let snapshot = patterns(&["/status"]);
    assert_eq!(find(&snapshot, "GET", "h", "/status/"), "404");
}

#[test]
fn parameters_are_raw_and_in_order() {
    let snapshot = patterns(&["/{b}/x/{a}/{*c}"]);
    assert_eq!(find(&snapshot, "GET", "h", "/1%20/x/%C3%A9/3//4"), "r /{b}/x/{a}/{*c} b=1%20 a=%C3%A9 c=3//4");
}

#[test]
fn a_path_that_could_be_read_as_another_one_is_refused() {
    let paths = vec![path(&["/auth/{*rest}", "/@admin"]), path(&["/{*rest}", "/u/{id}"])];
    let snapshot = with_routes(vec![route("r", "host", &["*"], paths)]).unwrap();
    for ambiguous in ["/auth;a/x", "/auth%3Ba/x", "/%40admin", "/;/auth/x", "/;"] {
        assert_eq!(find(&snapshot, "GET", "h", ambiguous), "400", "{ambiguous}");
    }
    assert_eq!(find(&snapshot, "GET", "h", "/auth/%40;a"), "r /auth/{*rest} rest=%40;a", "the same path of the route");
    assert_eq!(find(&snapshot, "GET", "h", "/u/%40"), "r /u/{id} id=%40");
    assert_eq!(find(&snapshot, "GET", "h", "/u/7;v=1"), "r /u/{id} id=7;v=1");
    assert_eq!(find(&snapshot, "GET", "h", "/a%20b/%C3%A9"), "r /{*rest} rest=a%20b/%C3%A9");
    assert_eq!(find(&snapshot, "GET", "h", "/@admin"), "r /@admin");
}

/// A path whose segments may have slashes in them.
fn keeping(patterns: &[&str]) -> Value {
    let mut path = path(patterns);
    path["encoded_slashes"] = "keep".into();
    path
}

#[test]
fn an_encoded_slash_is_refused_unless_the_path_keeps_it() {
    let paths = vec![keeping(&["/p/{id}", "/p/{id}/files/{*file}", "/q/%2F/{name}"]), path(&["/{*rest}"])];
    let snapshot = with_routes(vec![route("r", "host", &["*"], paths)]).unwrap();
    let find = |path: &str| find(&snapshot, "GET", "h", path);
    assert_eq!(find("/x%2Fy"), "400 %2F");
    assert_eq!(find("/x%2Fy;v=1"), "400 %2F");
    assert_eq!(find("/x/y%20z"), "r /{*rest} rest=x/y%20z");
    assert_eq!(find("/p/g/p"), "r /{*rest} rest=p/g/p");
    assert_eq!(find("/p/g%2Fp"), "400", "the other path takes it, too");
}

#[test]
fn an_encoded_slash_is_within_a_parameter() {
    let kept = ["/p/{id}", "/p/{id}/files/{*file}", "/q/%2F/{name}", "/all/{*rest}"];
    let paths = vec![keeping(&kept), path_for(&["POST"], &["/p/{id}/edit"])];
    let snapshot = with_routes(vec![route("r", "host", &["*"], paths)]).unwrap();
    let find = |path: &str| find(&snapshot, "GET", "h", path);
    assert_eq!(find("/p/g%2Fsub%2Fp"), "r /p/{id} id=g%2Fsub%2Fp");
    assert_eq!(find("/p/g%2Fp/files/a%2Fb/c"), "r /p/{id}/files/{*file} id=g%2Fp file=a%2Fb/c");
    assert_eq!(find("/q/%2F/work"), "r /q/%2F/{name} name=work");
    assert_eq!(find("/all/%2F"), "r /all/{*rest} rest=%2F");
    assert_eq!(find("/p%2Fg"), "404", "it is no separator");
    assert_eq!(find("/p/7%2Fedit"), "400", "the path of another method is one, too");
}

#[test]
fn an_encoded_slash_leads_to_no_other_path_of_the_route() {
    let paths = vec![path(&["/auth/{*rest}", "/x/auth"]), keeping(&["/", "/{*rest}"])];
    let snapshot = with_routes(vec![route("r", "host", &["*"], paths)]).unwrap();
    let find = |path: &str| find(&snapshot, "GET", "h", path);
    for ambiguous in ["/auth%2Fx", "/%2Fauth/x", "/auth;a%2Fx", "/x%2F/auth", "/x/auth;%2Fa", "/;%2Fauth%2Fx"] {
        assert_eq!(find(ambiguous), "400", "{ambiguous}");
    }
    assert_eq!(find("/auth/x%2Fy"), "400 %2F");
    assert_eq!(find("/a%2Fauth/x"), "r /{*rest} rest=a%2Fauth/x");
}

#[test]
fn a_kept_slash_excuses_nothing_else() {
    let snapshot = with_routes(vec![route("r", "host", &["*"], vec![keeping(&["/u/{id}"])])]).unwrap();
    assert_eq!(find(&snapshot, "GET", "h", "/u/;"), "400");
    assert_eq!(find(&snapshot, "GET", "h", "/u/;%2Fa"), "400");
    assert_eq!(find(&snapshot, "GET", "h", "/u/a%2Fb;c"), "r /u/{id} id=a%2Fb;c");
}

#[test]
fn no_methods_means_the_usual_seven() {
    let snapshot = patterns(&["/a"]);
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"] {
        assert_eq!(find(&snapshot, method, "h", "/a"), "r /a", "{method}");
    }
    let allow = "405 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
    assert_eq!(find(&snapshot, "PROPFIND", "h", "/a"), allow);
    assert_eq!(find(&snapshot, "get", "h", "/a"), allow, "methods have case");
    assert_eq!(find(&snapshot, "PROPFIND", "h", "/b"), "404");
}

#[test]
fn a_wrong_method_is_405_with_a_sorted_allow_and_head_is_not_implied() {
    let paths =
        vec![path_for(&["POST", "GET"], &["/a"]), path_for(&["DELETE"], &["/{x}"]), path_for(&["PUT"], &["/b"])];
    let snapshot = with_routes(vec![route("r", "host", &["*"], paths)]).unwrap();
    assert_eq!(find(&snapshot, "HEAD", "h", "/a"), "405 DELETE, GET, POST");
    assert_eq!(find(&snapshot, "PUT", "h", "/a"), "405 DELETE, GET, POST");
    assert_eq!(find(&snapshot, "DELETE", "h", "/a"), "r /{x} x=a", "precedence is per method");
    assert_eq!(find(&snapshot, "PUT", "h", "/b"), "r /b");
    assert_eq!(find(&snapshot, "OPTIONS", "h", "/a/b"), "404");
}

#[test]
fn other_methods_match_when_listed() {
    let snapshot = with_routes(vec![route("r", "host", &["*"], vec![path_for(&["PROPFIND"], &["/a"])])]).unwrap();
    assert_eq!(find(&snapshot, "PROPFIND", "h", "/a"), "r /a");
    assert_eq!(find(&snapshot, "GET", "h", "/a"), "405 PROPFIND");
}

#[test]
fn a_method_in_the_path_bypasses_nothing() {
    let paths = vec![path_for(&["GET"], &["/admin/{*p}"]), path_for(&["POST"], &["/b"])];
    let snapshot = with_routes(vec![route("r", "host", &["*"], paths)]).unwrap();
    assert_eq!(find(&snapshot, "POST", "h", "/GET/admin/x"), "404");
    assert_eq!(find(&snapshot, "PROPFIND", "h", "/GET/admin/x"), "404");
}

#[test]
fn paths_that_do_not_start_with_a_slash_match_nothing() {
    let snapshot = patterns(&["/", "/{*p}"]);
    for path in ["*", "", "a"] {
        assert_eq!(find(&snapshot, "OPTIONS", "h", path), "404", "{path:?}");
    }
}

#[test]
fn a_match_rewrites_its_path() {
    let mut rewritten = path(&["/old-api", "/old-api/{*path}"]);
    rewritten["rewrite"] = "/v2".into();
    let snapshot = with_routes(vec![route("r", "host", &["*"], vec![rewritten, path(&["/new"])])]).unwrap();
    let ask = |path: &'static str| {
        let found = snapshot.find("h", &http::Method::GET, path, &HeaderMap::new()).unwrap();
        found.rewrite(path)
    };
    assert_eq!(ask("/old-api/users").as_deref(), Some("/v2/users"));
    assert_eq!(ask("/old-api").as_deref(), Some("/v2"));
    assert_eq!(ask("/new"), None);
}

#[test]
fn authorities_are_taken_apart() {
    let valid = [
        ("a.test", ("a.test", 0)),
        ("a.test:8080", ("a.test", 8080)),
        ("a.test:", ("a.test", 0)),
        ("[::1]", ("[::1]", 0)),
        ("[::1]:8080", ("[::1]", 8080)),
        ("", ("", 0)),
    ];
    for (authority, expected) in valid {
        assert_eq!(split_authority(authority), Some(expected), "{authority}");
    }
    for authority in ["a:b", "a:1:2", "a:65536", "a:+1", "[::1", "[::1]x", "::1"] {
        assert_eq!(split_authority(authority), None, "{authority}");
    }
}
