//! Single values: each is read, or refused with its place.

use std::sync::Arc;

use http::HeaderName;

use crate::CompileError;

pub(super) fn positive(value: u64, at: impl Fn() -> String) -> Result<(), CompileError> {
    if value == 0 { Err(CompileError::new(at(), "is 0; it has to be more")) } else { Ok(()) }
}

pub(super) fn sha256(hex: &str, at: impl Fn() -> String) -> Result<[u8; 32], CompileError> {
    let mut hash = [0; 32];
    let problem = || CompileError::new(at(), format!("{hex:?} is no hex sha-256"));
    if hex.len() != 2 * hash.len() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(problem());
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| problem())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| problem())?;
    }
    Ok(hash)
}

pub(super) fn header_name(name: &str, at: impl Fn() -> String) -> Result<HeaderName, CompileError> {
    name.parse().map_err(|_| CompileError::new(at(), format!("{name:?} is no header name")))
}

pub(super) fn header_names(names: &[String], at: &str) -> Result<Vec<HeaderName>, CompileError> {
    names.iter().enumerate().map(|(index, name)| header_name(name, || format!("{at}[{index}]"))).collect()
}

pub(super) fn check_json(text: String, at: &str) -> Result<Arc<str>, CompileError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(CompileError::new(at, format!("is not json: {error}"))),
    }
}
