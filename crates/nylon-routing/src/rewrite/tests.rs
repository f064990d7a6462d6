use super::Rewrite;
use crate::{Params, Pattern};

/// Rewrites a path that matches the pattern.
fn rewritten(pattern: &str, rewrite: &str, path: &str) -> String {
    let pattern = Pattern::parse(pattern).unwrap();
    let rewrite = Rewrite::parse(rewrite, std::slice::from_ref(&pattern)).unwrap();
    let mut tree = matchit::Router::new();
    tree.insert(pattern.as_str(), ()).unwrap();
    let params = Params::new(tree.at(path).unwrap().params);
    rewrite.apply(path, &pattern, &params)
}

fn problem(patterns: &[&str], rewrite: &str) -> String {
    let patterns: Vec<_> = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
    Rewrite::parse(rewrite, &patterns).unwrap_err()
}

#[test]
fn the_static_prefix_is_replaced() {
    assert_eq!(rewritten("/old-api/{*path}", "/v2", "/old-api/users"), "/v2/users");
    assert_eq!(rewritten("/old-api/{*path}", "/v2/", "/old-api/users/7"), "/v2/users/7");
    assert_eq!(rewritten("/{*path}", "/v2", "/users"), "/v2/users");
    assert_eq!(rewritten("/users/{id}/edit", "/people", "/users/7/edit"), "/people/7/edit");
}

#[test]
fn a_static_pattern_is_replaced_as_a_whole() {
    assert_eq!(rewritten("/old-api", "/v2", "/old-api"), "/v2");
    assert_eq!(rewritten("/old-api", "/v2/", "/old-api"), "/v2/");
    assert_eq!(rewritten("/old-api/", "/v2", "/old-api/"), "/v2/");
}

#[test]
fn a_slash_strips() {
    assert_eq!(rewritten("/old-api/{*path}", "/", "/old-api/users"), "/users");
    assert_eq!(rewritten("/old-api", "/", "/old-api"), "/");
    assert_eq!(rewritten("/old-api/", "/", "/old-api/"), "/");
    assert_eq!(rewritten("/v{id}", "/", "/v12"), "/12");
}

#[test]
fn a_prefix_inside_a_segment_is_replaced() {
    assert_eq!(rewritten("/v{id}", "/version-", "/v12"), "/version-12");
}

#[test]
fn escaped_braces_count_once() {
    assert_eq!(rewritten("/{{a}}/{*path}", "/v2", "/{a}/users"), "/v2/users");
}

#[test]
fn parameters_are_filled_in() {
    assert_eq!(rewritten("/old-api/{*path}", "/v2/{*path}", "/old-api/users/7"), "/v2/users/7");
    assert_eq!(rewritten("/old-api/{*path}", "/v2/{path}", "/old-api/users/7"), "/v2/users/7");
    assert_eq!(rewritten("/{user}/posts/{id}", "/p/{id}/by-{user}", "/ann/posts/7"), "/p/7/by-ann");
}

#[test]
fn values_stay_raw() {
    assert_eq!(rewritten("/f/{*path}", "/g/{path}", "/f/a%2Fb%20c"), "/g/a%2Fb%20c");
}

#[test]
fn a_parameter_of_another_pattern_is_empty() {
    let patterns = [Pattern::parse("/").unwrap(), Pattern::parse("/{*path}").unwrap()];
    let rewrite = Rewrite::parse("/v2/{*path}", &patterns).unwrap();
    assert_eq!(rewrite.apply("/", &patterns[0], &Params::default()), "/v2/");
}

#[test]
fn mistakes_are_named() {
    assert_eq!(problem(&["/a"], "v2"), "\"v2\" does not start with /");
    assert_eq!(problem(&["/{*path}"], "/v2/{rest}"), "\"/v2/{rest}\" uses {rest}, which no pattern of this path has");
    assert_eq!(problem(&["/a"], "/v2?x=1"), "\"/v2?x=1\" contains '?', which cannot stand in a path");
    assert_eq!(problem(&["/a"], "/v2/{a"), "a brace in \"/v2/{a\" is never closed");
    assert_eq!(problem(&["/a"], "/v2/}"), "a brace in \"/v2/}\" is closed but never opened");
    assert_eq!(problem(&["/a"], "/v2/{}"), "a parameter in \"/v2/{}\" has no name");
}
