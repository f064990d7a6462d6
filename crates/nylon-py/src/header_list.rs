//! Headers as a plain list: looked up without regard to case, changed in call order.

use bytes::Bytes;
use nylon_wire::{Operation, Text};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Names and values in the order in which they arrived or were added.
pub(crate) type HeaderList = Vec<(Text, Bytes)>;

/// Headers being read, wherever they lie.
pub(crate) type Pairs<'a, 'i> = &'i mut dyn Iterator<Item = (&'a str, &'a [u8])>;

/// The pairs of a list.
pub(crate) fn pairs(list: &HeaderList) -> impl Iterator<Item = (&str, &[u8])> {
    list.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
}

/// A list of its own, to be changed.
pub(crate) fn collect<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> HeaderList {
    pairs.map(|(name, value)| (Text::from(name), Bytes::copy_from_slice(value))).collect()
}

/// The first value of the header, as it is.
pub(crate) fn first_raw<'a>(headers: Pairs<'a, '_>, name: &str) -> Option<&'a [u8]> {
    for (key, value) in headers {
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
    }
    None
}

/// The first value of the header.
pub(crate) fn first(headers: Pairs<'_, '_>, name: &str) -> Option<String> {
    first_raw(headers, name).map(decode)
}

/// Every value of the header, in order.
pub(crate) fn values(headers: Pairs<'_, '_>, name: &str) -> Vec<String> {
    headers.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| decode(value)).collect()
}

/// The values of the header as one: cookies are joined with `"; "`, everything else with `", "`.
pub(crate) fn joined(headers: Pairs<'_, '_>, name: &str) -> Option<String> {
    let mut values = values(headers, name);
    if values.len() < 2 { values.pop() } else { Some(values.join(separator(name))) }
}

fn separator(name: &str) -> &'static str {
    if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " }
}

/// The headers with distinct names in lower case, values joined, in order of first appearance.
pub(crate) fn merged(headers: Pairs<'_, '_>) -> Vec<(String, String)> {
    let mut merged: Vec<(String, String)> = Vec::with_capacity(headers.size_hint().0);
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some((known, joined)) => {
                joined.push_str(separator(known));
                joined.push_str(&decode(value));
            }
            None => merged.push((name, decode(value))),
        }
    }
    merged
}

/// Whether an operation changes a header of the request.
pub(crate) fn is_request_header(operation: &Operation) -> bool {
    use Operation::{AddRequestHeader, RemoveRequestHeader, SetRequestHeader};
    matches!(operation, SetRequestHeader { .. } | AddRequestHeader { .. } | RemoveRequestHeader { .. })
}

/// Whether an operation changes a header of the response.
pub(crate) fn is_response_header(operation: &Operation) -> bool {
    use Operation::{AddResponseHeader, RemoveResponseHeader, SetResponseHeader};
    matches!(operation, SetResponseHeader { .. } | AddResponseHeader { .. } | RemoveResponseHeader { .. })
}

/// Does to a list what an operation on headers asks for.
pub(crate) fn apply(list: &mut HeaderList, operation: &Operation) {
    match operation {
        Operation::SetRequestHeader { name, value } | Operation::SetResponseHeader { name, value } => {
            set(list, name, value);
        }
        Operation::AddRequestHeader { name, value } | Operation::AddResponseHeader { name, value } => {
            list.push((name.clone(), value.clone()));
        }
        Operation::RemoveRequestHeader { name } | Operation::RemoveResponseHeader { name } => remove(list, name),
        Operation::SetResponseStatus(_) | Operation::SetResponseBody(_) => {}
    }
}

/// Replaces every spelling and every repeat of the name (rules §10).
fn set(list: &mut HeaderList, name: &Text, value: &Bytes) {
    remove(list, name);
    list.push((name.clone(), value.clone()));
}

/// Removes every spelling and every repeat of the name.
fn remove(list: &mut HeaderList, name: &str) {
    list.retain(|(key, _)| !key.as_str().eq_ignore_ascii_case(name));
}

/// A value as Python text, decoded as [`decode`] does.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &[u8]) -> Bound<'py, PyString> {
    PyString::from_bytes(py, value).unwrap_or_else(|_| PyString::new(py, &decode(value)))
}

/// Header values are bytes: UTF-8 where they are that, else Latin-1, so that no client can make a read fail.
pub(crate) fn decode(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests;
