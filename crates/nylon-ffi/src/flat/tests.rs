use super::*;

/// What the original's Go SDK writes for `SetHeader("X-A", "1")`.
const FROM_GO: [u8; 40] = [
    0x0c, 0, 0, 0, 0x08, 0, 0x0c, 0, 0x08, 0, 0x04, 0, 0x08, 0, 0, 0, 0x08, 0, 0, 0, 0x0c, 0, 0, 0, 1, 0, 0, 0, 0x31,
    0, 0, 0, 3, 0, 0, 0, 0x58, 0x2d, 0x41, 0,
];

/// A list with the one header `a: b` that the original's Go SDK reads.
const LIST: [u8; 68] = [
    0x0c, 0, 0, 0, 0, 0, 0x06, 0, 0x08, 0, 0x04, 0, 0x06, 0, 0, 0, 0x04, 0, 0, 0, 0x01, 0, 0, 0, 0x10, 0, 0, 0, 0, 0,
    0, 0, 0x08, 0, 0x0c, 0, 0x04, 0, 0x08, 0, 0x08, 0, 0, 0, 0x08, 0, 0, 0, 0x0c, 0, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0,
    1, 0, 0, 0, 0x62, 0, 0, 0,
];

/// Reads a list as a library does that trusts it.
fn read_list(bytes: &[u8]) -> Vec<(String, String)> {
    let table = Table::root(bytes).unwrap();
    let field = table.at + usize::from(u16_at(table.vtable, 4).unwrap());
    let vector = field + u32_at(bytes, field).unwrap() as usize;
    let count = u32_at(bytes, vector).unwrap() as usize;
    (0..count)
        .map(|index| {
            let place = vector + 4 + 4 * index;
            let at = place + u32_at(bytes, place).unwrap() as usize;
            assert_eq!(at % 4, 0, "a table must be aligned");
            // The same bytes with another root.
            let mut one = bytes.to_vec();
            one[..4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
            let (key, value) = read_header(&one).unwrap();
            (key.to_owned(), String::from_utf8(value.to_vec()).unwrap())
        })
        .collect()
}

#[test]
fn what_the_original_writes_is_read() {
    assert_eq!(read_header(&FROM_GO), Some(("X-A", &b"1"[..])));
    assert_eq!(read_list(&LIST), [("a".to_owned(), "b".to_owned())]);
}

#[test]
fn lists_come_back_as_they_were() {
    let lists: [&[(&str, &str)]; 4] =
        [&[], &[("a", "b")], &[("abc", ""), ("abcd", "x"), ("", "y")], &[("set-cookie", "1"), ("set-cookie", "2")]];
    for list in lists {
        let written = write_headers(list.iter().map(|(name, value)| (*name, value.as_bytes())));
        let expected: Vec<_> = list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read_list(&written), expected);
    }
}

#[test]
fn no_rubbish_is_read_beyond_its_end() {
    assert_eq!(read_header(&[]), None);
    for length in 0..FROM_GO.len() - 1 {
        // Cut anywhere: either it is refused, or what it says is inside.
        let _ = read_header(&FROM_GO[..length]);
    }
    for place in 0..FROM_GO.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut wrong = FROM_GO;
            wrong[place] = byte;
            let _ = read_header(&wrong);
        }
    }
    // Both are required.
    let mut without_value = FROM_GO;
    without_value[10] = 0;
    assert_eq!(read_header(&without_value), None);
    let mut no_text = FROM_GO;
    no_text[36] = 0xff;
    assert_eq!(read_header(&no_text), None, "a name is UTF-8");
}
