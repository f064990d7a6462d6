use std::borrow::Cow;

use proptest::prelude::*;

use super::{canonical, readings};

#[test]
fn a_usual_path_is_not_copied() {
    let usual = [
        "/",
        "*",
        "/a/b.c/..d/e..",
        "/a.b/~u/x;v=1/@me:1!$&'()*+,=",
        "/.well-known/acme",
        "/a/...",
        "/%C3%A9%20",
        "/a%2Fb/%2F",
    ];
    for path in usual {
        assert!(matches!(canonical(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
    }
}

#[test]
fn what_means_the_same_has_one_form() {
    for (path, form) in [
        ("//auth/x", "/auth/x"),
        ("/a///b//", "/a/b/"),
        ("/%61uth/%7E%2D%5F", "/auth/~-_"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%3ab%2c", "/a%3Ab%2C"),
        ("/a%2ehtml", "/a.html"),
        ("/café au", "/caf%C3%A9%20au"),
        ("/100%25", "/100%25"),
        ("/a%2fb", "/a%2Fb"),
        ("//%2F//%2f%2f", "/%2F/%2F%2F"),
    ] {
        assert_eq!(canonical(path).unwrap(), form, "{path}");
    }
}

#[test]
fn what_readers_disagree_about_is_refused() {
    for (problem, paths) in [
        (
            "a dot segment",
            &[
                "/open/../auth/x",
                "/./auth",
                "/..",
                "/.",
                "/a/.",
                "/a/..",
                "/a/%2e%2e/b",
                "/a/.%2E/b",
                "/%2e/b",
                "//../b",
                "/a/..;/b",
                "/a/..;x=1/b",
                "/a/.;/b",
                "/a/..%3b/b",
                "/a/%2e%2e;/b",
                "/.//b",
                "/a/..%2fb",
                "/a%2f..",
                "/a%2F..%2Fb",
                "/a%2F..;/b",
                "/a%2f%2e%2e/b",
                "/a%2f.",
            ][..],
        ),
        ("a backslash", &["/auth%5cx", "/a\\b", "/..%5Cb"]),
        ("a control character", &["/auth%00", "/a%0d%0ab", "/%7f", "/a\tb"]),
        ("a % that is no escape", &["/%", "/a%6", "/%zz", "/%u0061", "/%+1", "/a%%61"]),
    ] {
        for path in paths {
            assert_eq!(canonical(path).unwrap_err(), format!("the path has {problem}"), "{path}");
        }
    }
}

#[test]
fn lenient_readers_decode_and_forget_parameters() {
    for (path, expected) in [
        ("/%40admin", &["/@admin"][..]),
        ("/a;x=1/b", &["/a/b"]),
        ("/a%3Bx/b", &["/a;x/b", "/a/b"]),
        ("/;/a", &["/a"]),
        ("/a;", &["/a"]),
        ("/%40;%41", &["/@;A", "/%40", "/@"]),
        ("/%25%3F%23%20%C3%A9", &[]),
        ("/a%2Fb", &[]),
        ("/a/@b", &[]),
    ] {
        assert_eq!(readings(path, false), expected, "{path}");
    }
}

#[test]
fn some_take_an_encoded_slash_for_one() {
    for (path, expected) in [
        ("/a%2Fb", &["/a/b"][..]),
        ("/a%2F%2F/b", &["/a/b"]),
        ("/%2Fa", &["/a"]),
        ("/a;x%2Fb", &["/a", "/a;x/b", "/a/b"]),
        ("/a/@b", &[]),
    ] {
        assert_eq!(readings(path, true), expected, "{path}");
    }
}

/// Paths of what matters here, with everything else in between.
const PATHS: &str = "/(/|%|\\.|;|@|2[eEfF]|3[bB]|5c|[a-c]|%2[eEfF]|%3[bB]|%[0-9a-f]{2}|é){0,20}";

proptest! {
    #[test]
    fn the_form_of_a_form_is_itself(path in PATHS) {
        if let Ok(form) = canonical(&path) {
            prop_assert_eq!(canonical(&form), Ok(Cow::Borrowed(&*form)));
            prop_assert!(!form.contains("//") && form.is_ascii());
        }
    }

    #[test]
    fn no_reader_finds_a_dot_segment(path in PATHS) {
        if let Ok(form) = canonical(&path) {
            for reading in readings(&form, true).iter().chain([&form.into_owned()]) {
                prop_assert!(reading.split('/').all(|segment| segment != "." && segment != ".."), "{}", reading);
            }
        }
    }

    /// In whatever order a reader does what it does, the result is one of those looked at.
    #[test]
    fn no_reader_is_forgotten(path in PATHS, steps in prop::collection::vec(0..3_usize, 0..6)) {
        if let Ok(form) = canonical(&path) {
            let steps = steps.into_iter().map(|step| [super::decode, super::drop_parameters, super::decode_slashes][step]);
            let reading = steps.fold(form.to_string(), |path, step| step(&path));
            prop_assert!(reading == form || readings(&form, true).contains(&reading), "{}", reading);
        }
    }
}
