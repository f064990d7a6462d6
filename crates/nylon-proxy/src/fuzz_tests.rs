//! The corpora of fuzz/, each input also damaged: what `tools/fuzz` searches guided by coverage, with nothing but cargo.

use damage::{Random, damage};

use crate::fuzz::{request, response, websocket};

#[path = "../../nylon-wire/tests/support/damage.rs"]
mod damage;

fn all(name: &str, target: fn(&[u8])) {
    let path = format!("{}/fuzz/corpus/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    let inputs: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect();
    assert!(inputs.len() > 20, "the corpus has only {} inputs", inputs.len());
    let mut random = Random(0x5eed);
    for input in &inputs {
        target(input);
        for _ in 0..40 {
            let mut input = input.clone();
            let other = &inputs[random.below(inputs.len())];
            damage(&mut input, &mut random, b"\r\n\0 :0a\xff", other);
            target(&input);
        }
    }
}

#[test]
fn requests_of_any_bytes() {
    all("request", request);
}

#[test]
fn responses_of_any_bytes() {
    all("response", response);
}

#[test]
fn websockets_of_any_bytes() {
    all("websocket", websocket);
}
