//! Any bytes as a client's requests.

use super::guard::{Guard, Stop};
use crate::framing::HeadLimits;

const LIMITS: HeadLimits = HeadLimits { bytes: 512, headers: 16 };
/// The longest size line of a chunk, more than the guard takes, in bytes.
const SIZE_LINE: usize = 300;

/// How the bytes arrive changes nothing of what the codec sees, nothing is held without bound, and what passes means to
/// the codec's parser the same messages. The first byte says how long the pieces are.
///
/// # Panics
/// If that does not hold.
pub fn request(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let (whole, stop) = pass(data, data.len().max(1));
    let (pieces, later) = pass(data, usize::from(how) + 1);
    // Of a bad chunk, the good bytes before the bad one may pass; a bad head in pieces is refused when its end is here.
    let in_body = matches!(stop, Some(Stop::Body(_)));
    assert!(pieces == whole || (in_body && pieces.starts_with(&whole)));
    assert!(later.is_none() || stop.is_some());
    read(&whole);
}

/// What the codec would see if the bytes came `step` at a time, and why it ended.
pub(super) fn pass(input: &[u8], step: usize) -> (Vec<u8>, Option<Stop>) {
    let (mut guard, mut seen, mut given) = (Guard::new(LIMITS), Vec::new(), 0);
    for piece in input.chunks(step) {
        given += piece.len();
        let stop = if guard.holds() {
            guard.resume(piece, &mut seen)
        } else {
            let verdict = guard.feed(piece);
            seen.extend_from_slice(&piece[..verdict.pass]);
            verdict.stop
        };
        if stop.is_some() {
            return (seen, stop);
        }
        assert!(given - seen.len() <= LIMITS.bytes + 2, "{} bytes are held", given - seen.len());
    }
    (seen, None)
}

/// Walks through the messages as the codec's parser delimits them: every head that has passed is whole and clear.
fn read(mut seen: &[u8]) {
    while let Some(rest) = Some(seen).filter(|seen| !seen.is_empty()) {
        if let Some(rest) = rest.strip_prefix(b"\r\n") {
            seen = rest;
            continue;
        }
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut lines);
        let Ok(httparse::Status::Complete(length)) = head.parse(rest) else {
            panic!("a head that the codec does not take: {:?}", rest.escape_ascii().to_string())
        };
        let target = head.path.unwrap_or_default();
        assert!(target.parse::<http::Uri>().is_ok(), "a target that the codec does not take: {target:?}");
        let of = |name: &str| {
            head.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value).collect()
        };
        let (lengths, codings, hosts): (Vec<_>, Vec<_>, Vec<_>) =
            (of("content-length"), of("transfer-encoding"), of("host"));
        assert!(lengths.is_empty() || codings.is_empty(), "two ways to delimit a body");
        assert!(hosts.len() <= 1, "two hosts");
        let body = &rest[length..];
        seen = match (codings.as_slice(), lengths.first()) {
            ([coding], _) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked"));
                behind_chunks(body)
            }
            ([], Some(digits)) => {
                assert!(lengths.iter().all(|other| other == digits));
                let length: Option<usize> = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                body.get(length.unwrap_or(usize::MAX)..).unwrap_or_default()
            }
            ([], None) => body,
            _ => panic!("several codings"),
        };
    }
}

/// What follows a chunked body; nothing if it is not whole.
fn behind_chunks(mut body: &[u8]) -> &[u8] {
    let line = |from: &[u8]| from.windows(2).position(|two| two == b"\r\n");
    loop {
        let Some(end) = line(body) else {
            assert!(body.len() < SIZE_LINE);
            return &[];
        };
        let size = body[..end].split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        let size = usize::try_from(size.unwrap_or_else(|| panic!("a size that is none"))).unwrap_or(usize::MAX);
        body = &body[end + 2..];
        if size == 0 {
            break;
        }
        let Some(rest) = body.get(size.saturating_add(2)..) else { return &[] };
        assert_eq!(&body[size..size + 2], b"\r\n");
        body = rest;
    }
    while let Some(end) = line(body) {
        body = &body[end + 2..];
        if end == 0 {
            return body;
        }
    }
    &[]
}
