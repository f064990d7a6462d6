//! What a path may look like: routes, plugins and upstreams must see the same one (docs/decisions/0023).

use std::{borrow::Cow, fmt::Write as _};

/// A slash within a segment: only some paths may have it.
pub(crate) const SLASH: &str = "%2F";

/// The one form of a path: unreserved characters are decoded, hex digits in upper case (RFC 3986 §6.2.2), slashes
/// merged. A usual path is looked at once and not copied. An encoded slash is kept: whether it is refused is said by
/// the path of the route.
///
/// # Errors
/// What readers of a path disagree about: dot segments, backslashes and control characters, escapes that are none. For
/// the log.
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
            b'\\' => return Err("the path has a backslash"),
            byte if byte.is_ascii_control() => return Err("the path has a control character"),
            b'/' if escape.is_none() && form.ends_with('/') => {}
            byte if is_unreserved(byte) || (escape.is_none() && byte.is_ascii_graphic()) => form.push(byte.into()),
            // Writing to memory cannot fail.
            byte => drop(write!(form, "%{byte:02X}")),
        }
    }
    if form.split('/').flat_map(|segment| segment.split(SLASH)).any(is_dot_segment) {
        return Err("the path has a dot segment");
    }
    Ok(if form == path { Cow::Borrowed(path) } else { Cow::Owned(form) })
}

/// What else lenient upstreams may read where a canonical path has an escape or a `;`: they decode also what RFC 3986 §2.2
/// keeps apart, and take what follows a `;` for parameters of the segment and not for its name; with `slashes`, they
/// take `%2F` for a slash, too. Any of that, in any order.
pub(crate) fn readings(path: &str, slashes: bool) -> Vec<String> {
    let steps: &[fn(&str) -> String] =
        if slashes { &[decode, drop_parameters, decode_slashes] } else { &[decode, drop_parameters] };
    let mut readings = vec![path.to_owned()];
    let mut done = 0;
    // Every step that changes a path makes it shorter, so this ends.
    while done < readings.len() {
        for step in steps {
            let reading = step(&readings[done]);
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        done += 1;
    }
    readings.split_off(1)
}

/// What cannot stand in a path otherwise stays as it is.
fn decode(path: &str) -> String {
    let mut reading = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        reading.push_str(before);
        let byte = take_escape(&mut after.as_bytes()).filter(|&byte| is_plain(byte));
        reading.push(byte.unwrap_or(b'%').into());
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    reading + rest
}

fn drop_parameters(path: &str) -> String {
    let names = path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name));
    merge_slashes(&names.collect::<Vec<_>>().join("/"))
}

fn decode_slashes(path: &str) -> String {
    merge_slashes(&path.replace(SLASH, "/"))
}

fn merge_slashes(path: &str) -> String {
    path.chars().fold(String::with_capacity(path.len()), |mut merged, char| {
        if char != '/' || !merged.ends_with('/') {
            merged.push(char);
        }
        merged
    })
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
