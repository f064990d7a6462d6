//! What a path may look like: routes, plugins and upstreams must see the same one (docs/decisions/0023).

use std::{borrow::Cow, fmt::Write as _};

/// The one form of a path: unreserved characters are decoded, hex digits in upper case (RFC 3986 §6.2.2), slashes
/// merged. A usual path is looked at once and not copied.
///
/// # Errors
/// What readers of a path disagree about: dot segments, slashes and control characters that are encoded, escapes that
/// are none. For the log.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if is_usual(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let mut form = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let escape = if *byte == b'%' {
            Some(take_escape(&mut rest).ok_or("the path has a % that is no escape")?)
        } else {
            None
        };
        match escape.unwrap_or(*byte) {
            b'/' if escape.is_some() => return Err("the path has an encoded slash"),
            b'\\' => return Err("the path has a backslash"),
            byte if byte.is_ascii_control() => return Err("the path has a control character"),
            b'/' if form.ends_with('/') => {}
            byte if is_unreserved(byte) || (escape.is_none() && byte.is_ascii_graphic()) => form.push(byte.into()),
            // Writing to memory cannot fail.
            byte => drop(write!(form, "%{byte:02X}")),
        }
    }
    if form.split('/').any(is_dot_segment) {
        return Err("the path has a dot segment");
    }
    Ok(if form == path { Cow::Borrowed(path) } else { Cow::Owned(form) })
}

/// The canonical path as a lenient upstream reads it: one that decodes also what RFC 3986 §2.2 keeps apart, and takes what
/// follows a `;` for parameters of the segment and not for its name. `None` if there is neither.
pub(crate) fn lenient(path: &str) -> Option<String> {
    if !path.bytes().any(|byte| byte == b'%' || byte == b';') {
        return None;
    }
    let mut reading = String::with_capacity(path.len());
    let mut rest = path;
    let mut in_name = true;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        let mut after = rest.as_bytes();
        // What cannot stand in a path otherwise stays as it is.
        let decoded = if char == '%' { take_escape(&mut after).filter(|&byte| is_plain(byte)) } else { None };
        if decoded.is_some() {
            rest = &rest[2..];
        }
        match decoded.map_or(char, char::from) {
            '/' => {
                in_name = true;
                if !reading.ends_with('/') {
                    reading.push('/');
                }
            }
            ';' => in_name = false,
            char if in_name => reading.push(char),
            _ => {}
        }
    }
    Some(reading)
}

/// Nothing in it that [`canonical`] would change or refuse. Without early exit, so that it vectorizes.
fn is_usual(path: &[u8]) -> bool {
    let odd = |byte: u8| !matches!(byte, 0x21..=0x7e) | (byte == b'%') | (byte == b'\\');
    let bad = path
        .windows(2)
        .fold(false, |bad, pair| bad | odd(pair[0]) | ((pair[0] == b'/') & ((pair[1] == b'/') | (pair[1] == b'.'))));
    !bad && !path.last().is_some_and(|&byte| odd(byte))
}

/// The two digits behind a `%`.
fn take_escape(rest: &mut &[u8]) -> Option<u8> {
    let [high, low, after @ ..] = *rest else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    *rest = after;
    Some(byte)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What a client may send in a path without escaping it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"%?#<>\\/".contains(&byte)
}

/// Also with parameters: servlet containers drop them before they resolve the dots.
fn is_dot_segment(segment: &str) -> bool {
    let rest = segment.strip_prefix("..").or_else(|| segment.strip_prefix('.'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(';') || rest.starts_with("%3B"))
}

#[cfg(test)]
mod tests;
