//! The alphabets of RFC 9110 and 9112.

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        table[byte] = char.is_ascii_alphanumeric()
            || matches!(
                char,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// What a host with port is made of: visible ASCII without delimiters.
const HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !matches!(
            byte as u8,
            b'/' | b'\\' | b'@' | b'?' | b'#' | b',' | b'"' | b'<' | b'>' | b'{' | b'}' | b'|' | b'^' | b'`'
        );
        byte += 1;
    }
    table
};

pub(crate) fn is_host_byte(byte: u8) -> bool {
    HOST[usize::from(byte)]
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Field values: visible characters, space, tab and the bytes above ASCII. Without early exit, so that it vectorizes.
pub(crate) fn is_value(text: &[u8]) -> bool {
    !text.iter().fold(false, |bad, &byte| bad | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

/// Request targets: visible ASCII without `#` and what no client may send unescaped.
pub(crate) fn is_target(text: &[u8]) -> bool {
    !text.iter().fold(false, |bad, &byte| {
        bad | (byte <= b' ') | (byte >= 0x7f) | (byte == b'#') | (byte == b'<') | (byte == b'>') | (byte == b'\\')
    })
}

/// Without the optional white space around a field value.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
