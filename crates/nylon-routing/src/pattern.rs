//! Path patterns and rewrite templates: literals with `{name}` and `{*name}` in them.

use crate::path::{canonical, readings};

/// A piece of a pattern or template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it stands in the path, braces unescaped.
    Literal(String),
    /// A parameter; a leading `*` is not part of the name.
    Param(String),
}

/// Takes the text apart. `{{` and `}}` are literal braces.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '{' | '}' if rest.peek() == Some(&char) => {
                rest.next();
                literal.push(char);
            }
            '{' => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                let mut name = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some(char) if char != '{' && char != '/' => name.push(char),
                        _ => return Err(format!("a brace in {text:?} is never closed")),
                    }
                }
                let name = name.strip_prefix('*').unwrap_or(&name).to_owned();
                if name.is_empty() {
                    return Err(format!("a parameter in {text:?} has no name"));
                }
                pieces.push(Piece::Param(name));
            }
            '}' => return Err(format!("a brace in {text:?} is closed but never opened")),
            char => literal.push(char),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Configured text as the path that it stands for, without the names of parameters. Says why no path looks like that.
pub(crate) fn form(text: &str, pieces: &[Piece]) -> Result<String, String> {
    let literal = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Param(_) => "{}".to_owned(),
    };
    let sample: String = pieces.iter().map(literal).collect();
    match canonical(&sample) {
        Ok(form) if form == sample => Ok(sample),
        Ok(form) => Err(format!("{text:?} is no path as the gateway sees them; write {form:?}")),
        Err(problem) => Err(format!("{text:?} can be no path of a request: {problem}")),
    }
}

/// A path pattern (nylon-config §4.3).
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    prefix_length: usize,
    params: Vec<String>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("{text:?} does not start with / and would never match"));
        }
        let pieces = pieces(text)?;
        let form = form(text, &pieces)?;
        if let Some(reading) = readings(&form, false).last() {
            return Err(format!("{text:?} would never match, as it can be read as {reading:?}, too: write that"));
        }
        let prefix_length = match pieces.first() {
            Some(Piece::Literal(prefix)) => prefix.len(),
            _ => 0,
        };
        let params: Vec<_> = pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Param(name) => Some(name),
                Piece::Literal(_) => None,
            })
            .collect();
        for (index, name) in params.iter().enumerate() {
            if params[..index].contains(name) {
                return Err(format!("{text:?} has two parameters called {name:?}"));
            }
        }
        Ok(Self { text: text.to_owned(), prefix_length, params })
    }

    /// The pattern as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many bytes of a matching path come before the first parameter.
    #[must_use]
    pub fn prefix_length(&self) -> usize {
        self.prefix_length
    }

    /// Names of the parameters, from left to right.
    #[must_use]
    pub fn params(&self) -> &[String] {
        &self.params
    }
}
