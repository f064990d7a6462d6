//! Shared by the tests: the vectors, and the meaning of a frame as the vectors write it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod any;
pub mod damage;
pub mod frames;
pub mod meaning;

use serde_json::Value;
use std::path::PathBuf;

/// `protocol/` of the repository.
pub fn protocol() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../protocol")
}

/// One case of a vector file.
pub struct Case {
    /// Kind, frame and name, for messages.
    pub name: String,
    /// The frame's name in capitals; `ANY` for payloads that are none.
    pub frame: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The meaning, for valid and future ones.
    pub value: Value,
    /// The class of the refusal, for invalid ones.
    pub error: String,
}

/// All cases of `valid`, `future` or `invalid`.
pub fn cases(kind: &str) -> Vec<Case> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(protocol().join("vectors").join(kind)).unwrap() {
        let path = entry.unwrap().path();
        let file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let frame = file["frame"].as_str().unwrap();
        for case in file["cases"].as_array().unwrap() {
            all.push(Case {
                name: format!("{kind} {frame}: {}", case["name"].as_str().unwrap()),
                frame: frame.to_owned(),
                payload: unhex(case["hex"].as_str().unwrap()),
                value: case["value"].clone(),
                error: case["error"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    assert!(all.len() >= 20, "only {} {kind} vectors", all.len());
    all
}

/// Bytes as hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hex as bytes.
pub fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
