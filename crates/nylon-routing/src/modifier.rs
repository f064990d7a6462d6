//! The built-in header modifiers: middleware that sets and removes headers without a plugin (nylon-config §7).

use serde_json::Value;

use crate::{CompileError, Template};

/// Whose headers a modifier changes, and so in which phase it runs, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those of the request, in the request filter.
    Request,
    /// Those of the response, in the response filter.
    Response,
}

impl Side {
    /// The side that a built-in of this name changes; `None` for the name of a plugin.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "RequestHeaderModifier" => Some(Self::Request),
            "ResponseHeaderModifier" => Some(Self::Response),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "RequestHeaderModifier",
            Self::Response => "ResponseHeaderModifier",
        }
    }
}

/// A compiled header modifier.
#[derive(Clone, Debug)]
pub struct Modifier {
    /// Whose headers.
    pub side: Side,
    /// Names and values to set, in order, in place of what was there.
    pub set: Vec<(Template, Template)>,
    /// Names to remove after that.
    pub remove: Vec<Template>,
}

impl Modifier {
    /// Says what is wrong with the payload, JSON text, of the built-in of that name.
    ///
    /// # Errors
    /// Where in the payload, and what was found.
    pub fn check(name: &str, payload: &str) -> Result<(), String> {
        let side = Side::of(name).ok_or_else(|| format!("there is no built-in called {name}"))?;
        let problem = |error: CompileError| format!("{}: {}", error.at, error.problem);
        Self::compile(side, Some(payload), "payload").map(drop).map_err(problem)
    }

    pub(crate) fn compile(side: Side, payload: Option<&str>, at: &str) -> Result<Self, CompileError> {
        let mut modifier = Self { side, set: Vec::new(), remove: Vec::new() };
        let payload = match payload.map(serde_json::from_str::<Value>).transpose() {
            Ok(None | Some(Value::Null)) => return Ok(modifier),
            Ok(Some(Value::Object(payload))) => payload,
            Ok(Some(_)) => return Err(CompileError::new(at, "is no mapping with 'set' and 'remove'")),
            Err(error) => return Err(CompileError::new(at, format!("is not json: {error}"))),
        };
        for (key, value) in &payload {
            let at = format!("{at}.{key}");
            let items = value.as_array().ok_or_else(|| CompileError::new(&*at, "is no list"))?;
            let items = items.iter().enumerate().map(|(index, item)| (format!("{at}[{index}]"), item));
            match key.as_str() {
                "set" => modifier.set = items.map(|(at, item)| set(item, &at)).collect::<Result<_, _>>()?,
                "remove" => modifier.remove = items.map(|(at, item)| name(item, &at)).collect::<Result<_, _>>()?,
                _ => return Err(CompileError::new(at, "is unknown; there are 'set' and 'remove'")),
            }
        }
        Ok(modifier)
    }
}

fn set(item: &Value, at: &str) -> Result<(Template, Template), CompileError> {
    let member = |key: &str| item.get(key).ok_or_else(|| CompileError::new(at, format!("has no '{key}'")));
    let value = template(member("value")?, &format!("{at}.value"))?;
    if value.texts().any(|text| http::HeaderValue::from_bytes(text.as_bytes()).is_err()) {
        return Err(CompileError::new(format!("{at}.value"), "has characters that no header value can have"));
    }
    Ok((name(member("name")?, &format!("{at}.name"))?, value))
}

fn name(item: &Value, at: &str) -> Result<Template, CompileError> {
    let name = template(item, at)?;
    match name.constant() {
        Some(name) if name.parse::<http::HeaderName>().is_err() => {
            Err(CompileError::new(at, format!("{name:?} is no header name")))
        }
        _ => Ok(name),
    }
}

/// Any scalar is taken for the text that it is written as.
fn template(item: &Value, at: &str) -> Result<Template, CompileError> {
    let text = match item {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => item.to_string(),
        _ => return Err(CompileError::new(at, "is no text")),
    };
    Template::parse(&text).map_err(|error| CompileError::new(at, error.to_string()))
}
