//! The router against a naive one: every pattern tried, the best kept.

use crate::support::{find, path, route, with_routes};
use nylon_routing::Snapshot;
use proptest::prelude::*;

/// A piece of a pattern, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Static(&'static str),
    Param,
    CatchAll,
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        4 => prop::sample::select(vec!["", "a", "b", "ab", "abc"]).prop_map(Segment::Static),
        3 => Just(Segment::Param),
        1 => Just(Segment::CatchAll),
    ]
}

fn pattern() -> impl Strategy<Value = Vec<Segment>> {
    prop::collection::vec(segment(), 1..5).prop_map(|mut segments| {
        if let Some(end) = segments.iter().position(|segment| *segment == Segment::CatchAll) {
            segments.truncate(end + 1);
        }
        // A path has no empty segment but the last.
        let last = segments.pop();
        segments.retain(|segment| *segment != Segment::Static(""));
        segments.extend(last);
        segments
    })
}

/// Parameters are named by their position, so that patterns never differ in names only.
fn text(pattern: &[Segment]) -> String {
    pattern
        .iter()
        .enumerate()
        .map(|(index, segment)| match segment {
            Segment::Static(text) => format!("/{text}"),
            Segment::Param => format!("/{{p{index}}}"),
            Segment::CatchAll => format!("/{{*c{index}}}"),
        })
        .collect()
}

/// What the pattern's parameters match, if it matches.
fn matches(pattern: &[Segment], path: &str) -> Option<String> {
    let mut rest = path;
    let mut params = String::new();
    for (index, segment) in pattern.iter().enumerate() {
        rest = rest.strip_prefix('/')?;
        let end = if *segment == Segment::CatchAll { rest.len() } else { rest.find('/').unwrap_or(rest.len()) };
        let (value, after) = rest.split_at(end);
        match segment {
            Segment::Static(text) if value == *text => {}
            Segment::Param if !value.is_empty() => params.push_str(&format!(" p{index}={value}")),
            Segment::CatchAll if !value.is_empty() => params.push_str(&format!(" c{index}={value}")),
            _ => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(params)
}

/// Segment by segment, static before parameter before catch-all: the first difference decides.
fn reference(patterns: &[Vec<Segment>], path: &str) -> String {
    let best = patterns.iter().filter_map(|pattern| matches(pattern, path).map(|params| (pattern, params))).min();
    best.map_or_else(|| "404".to_owned(), |(pattern, params)| format!("r {}{params}", text(pattern)))
}

fn compiled(patterns: &[Vec<Segment>]) -> Option<Snapshot> {
    let texts: Vec<String> = patterns.iter().map(|pattern| text(pattern)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    with_routes(vec![route("r", "host", &["*"], vec![path(&texts)])]).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_router_finds_what_the_naive_one_finds(
        candidates in prop::collection::vec(pattern(), 1..12),
        paths in prop::collection::vec("(/(a|b|ab|abc|abcd|c)?){1,5}", 1..20),
    ) {
        // Ambiguous patterns are refused, which has tests of its own: keep those that fit together.
        let mut patterns: Vec<Vec<Segment>> = Vec::new();
        for candidate in candidates {
            patterns.push(candidate);
            if compiled(&patterns).is_none() {
                patterns.pop();
            }
        }
        let snapshot = compiled(&patterns).unwrap();
        for path in &paths {
            prop_assert_eq!(find(&snapshot, "GET", "h", path), reference(&patterns, path), "{} in {:?}", path, patterns);
        }
    }
}
