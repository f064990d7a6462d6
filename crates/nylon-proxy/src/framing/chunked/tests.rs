use super::*;

/// The body and the bytes after the message, reading `step` bytes at a time.
fn read(input: &[u8], step: usize) -> Result<(Vec<u8>, usize), ChunkError> {
    let (mut chunked, mut body, mut at) = (Chunked::new(), Vec::new(), 0);
    while at < input.len() {
        let end = (at + step).min(input.len());
        match chunked.next(&input[at..end])? {
            Piece::Framing(length) => at += length,
            Piece::Data(length) => {
                body.extend_from_slice(&input[at..at + length]);
                at += length;
            }
            Piece::End(length) => return Ok((body, input.len() - at - length)),
        }
    }
    Err(ChunkError("not over"))
}

#[test]
fn bodies_are_read_in_pieces_of_any_size() {
    let input = b"5\r\nhello\r\n6;a=b; c\r\n world\r\n0\r\nx-sum: 1\r\nX-Two:\r\n\r\nGET";
    for step in 1..=input.len() {
        assert_eq!(read(input, step), Ok((b"hello world".to_vec(), 3)), "{step} bytes at a time");
    }
}

#[test]
fn anything_else_is_refused() {
    for bad in [
        "5\nhello\r\n0\r\n\r\n",
        "\r\n",
        ";a\r\n",
        "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "-1\r\n",
        "+5\r\nhello\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n",
        "ffffffffffffffff\r\n",
        "5;\0\r\nhello\r\n",
        "5;\rx\r\nhello",
        "0\r\n x: 1\r\n\r\n",
        "0\r\nx : 1\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx: 1\n\r\n",
        "0\r\n\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: a\r\n\r\n",
        "0\r\nx: \x01\r\n\r\n",
    ] {
        assert!(read(bad.as_bytes(), 1).is_err_and(|error| error.0 != "not over"), "{bad:?}");
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    assert_eq!(read(long.as_bytes(), 64), Err(ChunkError("the chunk extension is too long")));
    let long = format!("0\r\nx: {}\r\n\r\n", "x".repeat(MAX_TRAILERS));
    assert_eq!(read(long.as_bytes(), 64), Err(ChunkError("the trailers are too long")));
}
