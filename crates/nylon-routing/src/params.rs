//! What the parameters of a pattern matched.

/// Parameters of a match in pattern order; values are raw (not percent-decoded). Up to three need no memory.
#[derive(Clone, Debug, Default)]
pub struct Params<'s, 'p>(matchit::Params<'s, 'p>);

impl<'s, 'p> Params<'s, 'p> {
    pub(crate) fn new(params: matchit::Params<'s, 'p>) -> Self {
        Self(params)
    }

    /// The value of the parameter with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.0.get(name)
    }

    /// Names and values, from left to right.
    pub fn iter(&self) -> impl Iterator<Item = (&'s str, &'p str)> + '_ {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
