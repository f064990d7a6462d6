use std::borrow::Cow;

use proptest::prelude::*;

use super::{canonical, lenient};

#[test]
fn a_usual_path_is_not_copied() {
    let usual =
        ["/", "*", "/a/b.c/..d/e..", "/a.b/~u/x;v=1/@me:1!$&'()*+,=", "/.well-known/acme", "/a/...", "/%C3%A9%20"];
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
            ][..],
        ),
        ("an encoded slash", &["/auth%2fx", "/auth%2Fx", "/%2f", "/a/..%2fb"]),
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
fn a_lenient_reader_decodes_and_forgets_parameters() {
    for (path, reading) in [
        ("/%40admin", "/@admin"),
        ("/a;x=1/b", "/a/b"),
        ("/a%3Bx/b", "/a/b"),
        ("/;/a", "/a"),
        ("/a;", "/a"),
        ("/%25%3F%23%20%C3%A9", "/%25%3F%23%20%C3%A9"),
    ] {
        assert_eq!(lenient(path).as_deref(), Some(reading), "{path}");
    }
    assert_eq!(lenient("/a/@b"), None);
}

proptest! {
    #[test]
    fn the_form_of_a_form_is_itself(path in "/(/|%|\\.|;|2[eEfF]|5c|[a-c]|%[0-9a-f]{2}|é){0,20}") {
        if let Ok(form) = canonical(&path) {
            prop_assert_eq!(canonical(&form), Ok(Cow::Borrowed(&*form)));
            prop_assert!(!form.contains("//") && form.is_ascii());
            prop_assert!(form.split('/').all(|segment| segment != "." && segment != ".."));
            lenient(&form);
        }
    }
}
