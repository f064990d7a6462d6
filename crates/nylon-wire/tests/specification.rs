//! `protocol/SPEC.md` is whole: rules have one number each, in order; every frame, enum and code has its table.
#![allow(clippy::unwrap_used)]

mod support;

use nylon_wire::{ErrorCode, FrameType, OperationNumber};
use std::collections::HashSet;
use support::protocol;

fn spec() -> String {
    std::fs::read_to_string(protocol().join("SPEC.md")).unwrap()
}

/// `**12.3**` at the start of a line.
fn rules(spec: &str) -> Vec<(u32, u32)> {
    let number = |line: &str| {
        let (number, _) = line.strip_prefix("**")?.split_once("**")?;
        let (section, rule) = number.split_once('.')?;
        Some((section.parse().ok()?, rule.parse().ok()?))
    };
    spec.lines().filter_map(number).collect()
}

#[test]
fn rules_are_numbered_once_and_in_order() {
    let spec = spec();
    let (mut section, mut expected) = (0, 1);
    let mut seen = 0;
    for line in spec.lines() {
        if let Some(rest) = line.strip_prefix("## ") {
            section += 1;
            expected = 1;
            assert!(rest.starts_with(&format!("{section}. ")), "section {section} is called {rest}");
        }
        for rule in rules(line) {
            assert_eq!(rule, (section, expected), "{line}");
            expected += 1;
            seen += 1;
        }
    }
    assert!(seen > 80, "only {seen} rules were found");
}

#[test]
fn every_reference_leads_to_a_rule() {
    let spec = spec();
    let rules: HashSet<_> = rules(&spec).into_iter().collect();
    let mut checked = 0;
    for piece in spec.split('(').skip(1) {
        let inside = piece.split(')').next().unwrap_or_default();
        let Some((section, rule)) = inside.split_once('.') else { continue };
        if let (Ok(section), Ok(rule)) = (section.parse(), rule.parse()) {
            assert!(rules.contains(&(section, rule)), "rule {inside} does not exist");
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} references were found");
}

#[test]
fn every_frame_operation_and_code_is_in_it() {
    let spec = spec();
    for frame in FrameType::ALL {
        let header = format!("(type {})", frame.number());
        assert_eq!(spec.matches(&header).count(), 1, "{frame:?} {header}");
        assert!(
            spec.contains(&format!("| {} | {frame:?} |", frame.number())),
            "{frame:?} is not in the table of types"
        );
    }
    for operation in OperationNumber::ALL {
        assert!(spec.contains(&format!("| {} | {operation:?} |", operation.number())), "{operation:?}");
    }
    for code in ErrorCode::ALL {
        assert!(spec.contains(&format!("| {} | `{}` |", code.status(), code.code())), "{code:?}");
    }
}

#[test]
fn the_source_refers_to_sections_that_exist() {
    let sections = spec().lines().filter(|line| line.starts_with("## ")).count();
    let mut checked = 0;
    let mut directories = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            for piece in std::fs::read_to_string(&path).unwrap().split("SPEC ").skip(1) {
                let digits: String = piece.chars().take_while(char::is_ascii_digit).collect();
                let number: usize = digits.parse().unwrap();
                assert!((1..=sections).contains(&number), "{}: SPEC {number}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= 5, "only {checked} references were found");
}
