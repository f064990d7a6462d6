//! Names of one kind, and what they stand for.

use std::{collections::HashMap, sync::Arc};

use crate::CompileError;

/// Remembers names and refuses the second of its kind.
#[derive(Default)]
pub(super) struct Names(HashMap<Arc<str>, usize>);

impl Names {
    /// Adds the next name; `at` is the list it comes from.
    pub(super) fn add(&mut self, name: &str, at: &str) -> Result<Arc<str>, CompileError> {
        let index = self.0.len();
        let name: Arc<str> = name.into();
        if name.is_empty() {
            return Err(CompileError::new(format!("{at}[{index}].name"), "is empty"));
        }
        match self.0.insert(Arc::clone(&name), index) {
            None => Ok(name),
            Some(first) => Err(CompileError::new(
                format!("{at}[{index}].name"),
                format!("{name:?} is taken by {at}[{first}] already"),
            )),
        }
    }

    pub(super) fn find(&self, name: &str, what: &str, at: impl Fn() -> String) -> Result<usize, CompileError> {
        let missing = || CompileError::new(at(), format!("there is no {what} called {name:?}"));
        self.0.get(name).copied().ok_or_else(missing)
    }
}
