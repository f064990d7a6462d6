//! From `${…}` to an expression whose names are known.

use super::{Default, Expr, Field, UuidVersion};

/// Deeper calls are refused: nobody writes them, and reading them must not use up the stack.
const DEEPEST: usize = 32;

const FUNCTIONS: [&str; 16] = [
    "header",
    "query",
    "cookie",
    "param",
    "request",
    "env",
    "or",
    "eq",
    "neq",
    "concat",
    "upper",
    "lower",
    "len",
    "if_cond",
    "timestamp",
    "uuid",
];

/// As it is written.
enum Raw {
    Literal(String),
    Name(String),
    Call(String, Vec<Raw>),
}

/// Reads what stands between `${` and `}`.
pub(super) fn expression(text: &str) -> Result<Expr, String> {
    let mut reader = Reader { rest: text };
    reader.space();
    let raw = reader.expr(0)?;
    reader.space();
    if !reader.rest.is_empty() {
        return Err(format!("there is {:?} behind the expression", reader.rest));
    }
    known(raw)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expr(&mut self, depth: usize) -> Result<Raw, String> {
        if depth > DEEPEST {
            return Err(format!("calls are nested more than {DEEPEST} deep"));
        }
        for quote in ['\'', '"'] {
            if self.take(quote) {
                let Some((text, rest)) = self.rest.split_once(quote) else {
                    return Err(format!("the closing {quote} is missing"));
                };
                self.rest = rest;
                return Ok(Raw::Literal(text.to_owned()));
            }
        }
        let name = self.name()?;
        let before = self.rest;
        self.space();
        if !self.take('(') {
            self.rest = before;
            return Ok(Raw::Name(name));
        }
        Ok(Raw::Call(name, self.arguments(depth)?))
    }

    fn name(&mut self) -> Result<String, String> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '-';
        let more = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if !self.rest.starts_with(first) {
            return Err(match self.rest.chars().next() {
                None => "a name, a quoted text or a call is missing at its end".to_owned(),
                Some(found) => format!("expected a name, a quoted text or a call, found {found:?}"),
            });
        }
        let end = self.rest.find(|c| !more(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn arguments(&mut self, depth: usize) -> Result<Vec<Raw>, String> {
        let mut arguments = Vec::new();
        loop {
            self.space();
            if self.take(')') {
                return Ok(arguments);
            }
            arguments.push(self.expr(depth + 1)?);
            self.space();
            if !self.take(',') && !self.rest.starts_with(')') {
                return Err("expected , or ) behind an argument".to_owned());
            }
        }
    }
}

fn known(raw: Raw) -> Result<Expr, String> {
    match raw {
        Raw::Literal(text) => Ok(Expr::Text(text.into())),
        Raw::Name(name) => match [Field::ClientIp, Field::Host, Field::Tls].into_iter().find(|f| f.to_string() == name)
        {
            Some(field) => Ok(Expr::Field(field)),
            None => {
                Err(format!("nothing is called {name}; there are client_ip, host and tls, and texts stand in quotes"))
            }
        },
        Raw::Call(name, arguments) => call(&name, Arguments { name: &name, rest: arguments.into_iter() }),
    }
}

fn call(name: &str, mut arguments: Arguments<'_>) -> Result<Expr, String> {
    let expr = match name {
        "header" => {
            let key = arguments.key()?;
            Expr::Header(key.parse().map_err(|_| format!("{key:?} is no header name"))?)
        }
        "query" => Expr::Query(arguments.key()?, arguments.optional()?),
        "cookie" => Expr::Cookie(arguments.key()?, arguments.optional()?),
        "param" => Expr::Param(arguments.key()?, arguments.optional()?),
        "env" => Expr::Env(arguments.key()?),
        "request" => {
            let key = arguments.key()?;
            let found = Field::ALL.into_iter().find(|field| *field.to_string() == *key);
            let all = Field::ALL.map(|field| field.to_string()).join(", ");
            Expr::Field(found.ok_or_else(|| format!("request({key}) does not exist; there are {all}"))?)
        }
        "or" => Expr::Or(arguments.some()?),
        "concat" => Expr::Concat(arguments.some()?),
        "eq" | "neq" => {
            let sides = Box::new([arguments.one()?, arguments.one()?]);
            Expr::Compare(name == "eq", sides, arguments.optional()?)
        }
        "upper" => Expr::Upper(Box::new(arguments.one()?)),
        "lower" => Expr::Lower(Box::new(arguments.one()?)),
        "len" => Expr::Len(Box::new(arguments.one()?)),
        "if_cond" => Expr::If(Box::new([arguments.one()?, arguments.one()?, arguments.one()?])),
        "timestamp" => Expr::Timestamp,
        "uuid" => match &*arguments.key()? {
            "v4" => Expr::Uuid(UuidVersion::V4),
            "v7" => Expr::Uuid(UuidVersion::V7),
            other => return Err(format!("uuid({other}) does not exist; there are v4 and v7")),
        },
        _ => return Err(format!("there is no function {name}; {}", instead(name))),
    };
    match arguments.rest.len() {
        0 => Ok(expr),
        more => Err(format!("{name}() has {more} more argument{} than it takes", if more == 1 { "" } else { "s" })),
    }
}

/// The function that was probably meant, or all.
fn instead(name: &str) -> String {
    let near = |known: &&&str| strsim::normalized_damerau_levenshtein(name, known) >= 0.6;
    match FUNCTIONS.iter().find(near) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("there are {}", FUNCTIONS.join(", ")),
    }
}

struct Arguments<'n> {
    name: &'n str,
    rest: std::vec::IntoIter<Raw>,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Raw, String> {
        self.rest.next().ok_or_else(|| format!("{}() needs more arguments", self.name))
    }

    /// A name, bare or in quotes.
    fn key(&mut self) -> Result<Box<str>, String> {
        match self.next()? {
            Raw::Name(name) | Raw::Literal(name) => Ok(name.into()),
            Raw::Call(inner, _) => Err(format!("{}() takes a name, not what {inner}() gives", self.name)),
        }
    }

    fn one(&mut self) -> Result<Expr, String> {
        self.next().and_then(known)
    }

    fn optional(&mut self) -> Result<Default, String> {
        self.rest.next().map(|raw| known(raw).map(Box::new)).transpose()
    }

    fn some(&mut self) -> Result<Box<[Expr]>, String> {
        let mut found = vec![self.one()?];
        for raw in self.rest.by_ref() {
            found.push(known(raw)?);
        }
        Ok(found.into())
    }
}
