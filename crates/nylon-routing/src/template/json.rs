//! JSON whose texts are templates.

use serde_json::Value;

use super::{Facts, Template, TemplateError};

/// A JSON text in which some string values differ by request. Keys and other values stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonTemplate(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// JSON as it stands.
    Json(Box<[u8]>),
    /// A string value.
    Text(Template),
}

impl JsonTemplate {
    /// Compiles a value; `None` if it is the same for every request.
    ///
    /// # Errors
    /// Where the first bad expression stands (such as `.set[0].value`), and what is wrong with it.
    pub fn compile(value: &Value) -> Result<Option<Self>, (String, TemplateError)> {
        let mut writer = Writer { pieces: Vec::new(), json: Vec::new(), path: String::new() };
        writer.value(value)?;
        if writer.pieces.is_empty() {
            return Ok(None);
        }
        writer.cut();
        Ok(Some(Self(writer.pieces.into())))
    }

    /// The JSON text for a request.
    #[must_use]
    pub fn render(&self, facts: &dyn Facts) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.iter().map(Piece::len).sum());
        for piece in &self.0 {
            match piece {
                Piece::Json(json) => out.extend_from_slice(json),
                Piece::Text(template) => push(&mut out, &*template.render(facts)),
            }
        }
        out
    }
}

impl Piece {
    /// About as long as it becomes.
    fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Text(_) => 32,
        }
    }
}

fn push<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Neither a text nor a JSON value fails to be JSON, nor memory to be written to.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

struct Writer {
    pieces: Vec<Piece>,
    json: Vec<u8>,
    path: String,
}

impl Writer {
    fn cut(&mut self) {
        self.pieces.push(Piece::Json(std::mem::take(&mut self.json).into()));
    }

    fn value(&mut self, value: &Value) -> Result<(), (String, TemplateError)> {
        match value {
            Value::String(text) => {
                let template = Template::parse(text).map_err(|error| (self.path.clone(), error))?;
                match template.constant() {
                    Some(text) => push(&mut self.json, text),
                    None => {
                        self.cut();
                        self.pieces.push(Piece::Text(template));
                    }
                }
            }
            Value::Array(items) => {
                self.json.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.json.push(b',');
                    }
                    self.below(&format!("[{index}]"), item)?;
                }
                self.json.push(b']');
            }
            Value::Object(members) => {
                self.json.push(b'{');
                for (index, (key, item)) in members.iter().enumerate() {
                    if index > 0 {
                        self.json.push(b',');
                    }
                    push(&mut self.json, key);
                    self.json.push(b':');
                    self.below(&format!(".{key}"), item)?;
                }
                self.json.push(b'}');
            }
            other => push(&mut self.json, other),
        }
        Ok(())
    }

    fn below(&mut self, step: &str, value: &Value) -> Result<(), (String, TemplateError)> {
        let length = self.path.len();
        self.path.push_str(step);
        self.value(value)?;
        self.path.truncate(length);
        Ok(())
    }
}
