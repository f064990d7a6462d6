//! The corpora of fuzz/, each input also damaged: what `tools/fuzz` searches guided by coverage, with nothing but cargo.

use crate::fuzz::{request, response, websocket};

/// xorshift64*: the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

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
            for _ in 0..=random.below(3) {
                let at = random.below(input.len());
                match random.below(4) {
                    0 if at < input.len() => input[at] = random.below(256) as u8,
                    1 => input.insert(at, b"\r\n\0 :0a\xff"[random.below(8)]),
                    2 if at < input.len() => drop(input.remove(at)),
                    _ => {
                        let other = &inputs[random.below(inputs.len())];
                        input.extend_from_slice(&other[random.below(other.len())..]);
                    }
                }
            }
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
