//! Text with `${…}` in it, compiled once and rendered per request (nylon-config §6).
//!
//! What the original renders as nothing without a word (a misspelt function, an expression that does not parse) is an error
//! of the configuration here. Quoted keys (`header('x.y')`) name what bare ones do.

mod json;
mod parse;

use std::{borrow::Cow, fmt, net::IpAddr};

use http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode;

pub use json::JsonTemplate;

/// What a template can read of a request and its surroundings.
pub trait Facts {
    /// Headers of the request as middleware has left them so far.
    fn headers(&self) -> &HeaderMap;
    /// Raw query without `?`.
    fn query(&self) -> &str;
    /// A route variable, raw.
    fn param(&self, name: &str) -> Option<&str>;
    /// Address of the client.
    fn client_ip(&self) -> IpAddr;
    /// Host without port.
    fn host(&self) -> &str;
    /// Whether the client's connection is TLS.
    fn tls(&self) -> bool;
    /// Method.
    fn method(&self) -> &str;
    /// Raw path.
    fn path(&self) -> &str;
    /// An environment variable of the process.
    fn env(&self, name: &str) -> Option<String>;
    /// UTC now: RFC 3339 with milliseconds and `Z`.
    fn timestamp(&self) -> String;
    /// A new UUID, lower case with hyphens.
    fn uuid(&self, version: UuidVersion) -> String;
}

/// Which UUID (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidVersion {
    /// Random.
    V4,
    /// Ordered by time.
    V7,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("${{{expression}}}: {problem}")]
pub struct TemplateError {
    /// What stands between `${` and `}`.
    pub expression: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A text with expressions in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Value(Expr),
}

/// An expression whose names are known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Text(Box<str>),
    Field(Field),
    Header(HeaderName),
    Query(Box<str>, Default),
    Cookie(Box<str>, Default),
    Param(Box<str>, Default),
    Env(Box<str>),
    Or(Box<[Expr]>),
    /// Equal or not, the two, and what it is then.
    Compare(bool, Box<[Expr; 2]>, Default),
    Concat(Box<[Expr]>),
    Upper(Box<Expr>),
    Lower(Box<Expr>),
    Len(Box<Expr>),
    If(Box<[Expr; 3]>),
    Timestamp,
    Uuid(UuidVersion),
}

type Default = Option<Box<Expr>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ClientIp,
    Host,
    Tls,
    Method,
    Path,
    Scheme,
}

impl Template {
    /// Compiles a text. `${}` and a `${` that is not closed are plain text.
    ///
    /// # Errors
    /// The first expression that does not parse, or names what there is not.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let inside = &rest[start + 2..];
            match inside.find('}') {
                None => break,
                Some(0) => {
                    plain.push_str(&rest[..start + 3]);
                    rest = &inside[1..];
                }
                Some(end) => {
                    plain.push_str(&rest[..start]);
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain).into()));
                    }
                    let expression = &inside[..end];
                    let error = |problem| TemplateError { expression: expression.to_owned(), problem };
                    parts.push(Part::Value(parse::expression(expression).map_err(error)?));
                    rest = &inside[end + 1..];
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self(parts.into()))
    }

    /// The text, if it is the same for every request.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The parts that are the same for every request.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(&**text),
            Part::Value(_) => None,
        })
    }

    /// The text for a request.
    #[must_use]
    pub fn render<'t>(&'t self, facts: &'t dyn Facts) -> Cow<'t, str> {
        match &*self.0 {
            [] => Cow::Borrowed(""),
            [Part::Text(text)] => Cow::Borrowed(text),
            [Part::Value(value)] => value.value(facts),
            parts => {
                let text = parts.iter().map(|part| match part {
                    Part::Text(text) => Cow::Borrowed(&**text),
                    Part::Value(value) => value.value(facts),
                });
                Cow::Owned(text.collect())
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientIp => "client_ip",
            Self::Host => "host",
            Self::Tls => "tls",
            Self::Method => "method",
            Self::Path => "path",
            Self::Scheme => "scheme",
        })
    }
}

impl Field {
    const ALL: [Self; 6] = [Self::ClientIp, Self::Host, Self::Tls, Self::Method, Self::Path, Self::Scheme];

    fn value(self, facts: &dyn Facts) -> Cow<'_, str> {
        match self {
            Self::ClientIp => facts.client_ip().to_string().into(),
            Self::Host => facts.host().into(),
            Self::Tls => if facts.tls() { "true" } else { "false" }.into(),
            Self::Method => facts.method().into(),
            Self::Path => facts.path().into(),
            Self::Scheme => if facts.tls() { "https" } else { "http" }.into(),
        }
    }
}

impl Expr {
    fn value<'t>(&'t self, facts: &'t dyn Facts) -> Cow<'t, str> {
        let or = |found: Option<Cow<'t, str>>, default: &'t Default| match found {
            Some(value) if !value.is_empty() => value,
            _ => default.as_ref().map_or(Cow::Borrowed(""), |default| default.value(facts)),
        };
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Field(field) => field.value(facts),
            Self::Header(name) => facts.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("").into(),
            Self::Query(key, default) => or(query(facts.query(), key), default),
            Self::Cookie(name, default) => or(cookie(facts.headers(), name), default),
            Self::Param(name, default) => or(facts.param(name).map(Cow::Borrowed), default),
            Self::Env(name) => facts.env(name).unwrap_or_default().into(),
            Self::Or(values) => {
                values.iter().map(|value| value.value(facts)).find(|value| !value.is_empty()).unwrap_or_default()
            }
            Self::Compare(wanted, sides, then) => {
                let [left, right] = &**sides;
                let left = left.value(facts);
                match ((left == right.value(facts)) == *wanted, then) {
                    (false, _) => Cow::Borrowed(""),
                    (true, None) => left,
                    (true, Some(then)) => then.value(facts),
                }
            }
            Self::Concat(values) => values.iter().map(|value| value.value(facts)).collect::<String>().into(),
            Self::Upper(value) => value.value(facts).to_uppercase().into(),
            Self::Lower(value) => value.value(facts).to_lowercase().into(),
            Self::Len(value) => value.value(facts).len().to_string().into(),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                if condition.value(facts).is_empty() { otherwise } else { then }.value(facts)
            }
            Self::Timestamp => facts.timestamp().into(),
            Self::Uuid(version) => facts.uuid(*version).into(),
        }
    }
}

/// The first value of a key, decoded as HTML forms are.
fn query<'q>(query: &'q str, key: &str) -> Option<Cow<'q, str>> {
    let decode = |text: &'q str| -> Cow<'q, str> {
        match text.contains('+') {
            true => percent_decode(text.replace('+', " ").as_bytes()).decode_utf8_lossy().into_owned().into(),
            false => percent_decode(text.as_bytes()).decode_utf8_lossy(),
        }
    };
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(name, _)| decode(name) == key).map(|(_, value)| decode(value))
}

/// The first cookie of a name in the first `Cookie` header, decoded.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(percent_decode(value.as_bytes()).decode_utf8_lossy())
}

#[cfg(test)]
mod tests;
