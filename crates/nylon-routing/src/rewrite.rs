//! What an upstream sees instead of the request's path (nylon-config §4.5).

use crate::{
    Params, Pattern,
    pattern::{Piece, form, pieces},
};

/// A compiled `rewrite`.
#[derive(Clone, Debug)]
pub(crate) enum Rewrite {
    /// Replaces the static prefix of the matched pattern. Kept as written.
    Prefix(String),
    /// Is the new path, parameters filled in; one that the matched pattern does not have is empty.
    Template(Vec<Piece>),
}

impl Rewrite {
    pub(crate) fn parse(text: &str, patterns: &[Pattern]) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("{text:?} does not start with /"));
        }
        if let Some(char) = text.chars().find(|&char| char == '?' || char == '#' || !char.is_ascii_graphic()) {
            return Err(format!("{text:?} contains {char:?}, which cannot stand in a path"));
        }
        let pieces = pieces(text)?;
        form(text, &pieces)?;
        let mut names = pieces.iter().filter_map(|piece| match piece {
            Piece::Param(name) => Some(name),
            Piece::Literal(_) => None,
        });
        if let Some(name) = names.find(|name| !patterns.iter().any(|pattern| pattern.params().contains(name))) {
            return Err(format!("{text:?} uses {{{name}}}, which no pattern of this path has"));
        }
        Ok(match pieces.as_slice() {
            [Piece::Literal(prefix)] => Self::Prefix(prefix.clone()),
            _ => Self::Template(pieces),
        })
    }

    /// The new path for a path that matched the pattern.
    pub(crate) fn apply(&self, path: &str, pattern: &Pattern, params: &Params<'_, '_>) -> String {
        match self {
            Self::Prefix(prefix) => replace_prefix(path, pattern.prefix_length(), prefix),
            Self::Template(pieces) => pieces.iter().fold(String::with_capacity(path.len() + 16), |mut path, piece| {
                path.push_str(match piece {
                    Piece::Literal(text) => text,
                    Piece::Param(name) => params.get(name).unwrap_or_default(),
                });
                path
            }),
        }
    }
}

/// A slash at the end of the replaced part stays with the rest, so that `/v2` and `/v2/` mean the same.
fn replace_prefix(path: &str, length: usize, prefix: &str) -> String {
    let (replaced, rest) = path.split_at_checked(length).unwrap_or((path, ""));
    let kept = if replaced.ends_with('/') { "/" } else { "" };
    if kept.is_empty() && rest.is_empty() {
        return prefix.to_owned();
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let kept = if kept.is_empty() && prefix.is_empty() && !rest.starts_with('/') { "/" } else { kept };
    [prefix, kept, rest].concat()
}

#[cfg(test)]
mod tests;
