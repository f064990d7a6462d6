//! Any bytes as an upstream's answer.

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};

use super::{
    body::{Rest, Taken},
    response::{Framing, take_head},
};

/// What was read of an answer.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    head: Option<(StatusCode, HeaderMap, Framing)>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// The body is whole. What follows it is left alone.
    over: bool,
    refused: bool,
}

/// No panic, and how the bytes arrive changes nothing. The first byte says how long the pieces are, and whether the
/// request was a HEAD.
///
/// # Panics
/// If that does not hold.
pub fn response(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let method = if how & 0x80 == 0 { Method::GET } else { Method::HEAD };
    let whole = read(data, data.len().max(1), &method);
    assert_eq!(read(data, usize::from(how & 0x7f) + 1, &method), whole);
    assert!(whole.body.len() <= data.len());
    if let Some((_, _, Framing::Length(length))) = whole.head {
        assert!(whole.body.len() as u64 <= length && whole.over == (whole.body.len() as u64 == length));
    }
}

/// Reads as [`super::send`] and [`super::UpstreamBody`] do.
fn read(data: &[u8], step: usize, method: &Method) -> Seen {
    let (mut seen, mut input, mut rest) = (Seen::default(), BytesMut::new(), None);
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        if rest.is_none() {
            match take_head(&mut input, method) {
                Ok(None) => continue,
                Ok(Some(head)) => {
                    let started = Rest::new(head.framing);
                    seen.over = matches!(started, Rest::None);
                    rest = Some(started);
                    seen.head = Some((head.status, head.headers, head.framing));
                }
                Err(_) => seen.refused = true,
            }
        }
        while let Some(rest) = &mut rest
            && !seen.over
            && !seen.refused
            && !input.is_empty()
        {
            match rest.take(&mut input) {
                Ok(Taken::Nothing) => {}
                Ok(Taken::Data(data)) => {
                    seen.body.extend_from_slice(&data);
                    seen.over = matches!(rest, Rest::None);
                }
                Ok(Taken::End(trailers)) => (seen.trailers, seen.over) = (trailers, true),
                Err(_) => seen.refused = true,
            }
        }
        if seen.over || seen.refused {
            return seen;
        }
    }
    seen
}
