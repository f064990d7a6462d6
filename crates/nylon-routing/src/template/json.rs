//! JSON whose texts are templates.

use serde_json::Value;

use super::{Facts, Template, TemplateError};

/// A JSON text in which some string values differ by request. Keys and other values stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonTemplate(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// JSON as it stands.
    Json(Box<str>),
    /// A string value.
    Text(Template),
}

impl JsonTemplate {
    /// Compiles a value; `None` if it is the same for every request.
    ///
    /// # Errors
    /// Where the first bad expression stands (such as `.set[0].value`), and what is wrong with it.
    pub fn compile(value: &Value) -> Result<Option<Self>, (String, TemplateError)> {
        let mut writer = Writer { pieces: Vec::new(), json: String::new(), path: String::new() };
        writer.value(value)?;
        if writer.pieces.is_empty() {
            return Ok(None);
        }
        writer.cut();
        Ok(Some(Self(writer.pieces.into())))
    }

    /// The JSON text for a request.
    #[must_use]
    pub fn render(&self, facts: &dyn Facts) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Json(json) => out.push_str(json),
                Piece::Text(template) => push_text(&mut out, &template.render(facts)),
            }
        }
        out
    }
}

fn push_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

struct Writer {
    pieces: Vec<Piece>,
    json: String,
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
                    Some(text) => push_text(&mut self.json, text),
                    None => {
                        self.cut();
                        self.pieces.push(Piece::Text(template));
                    }
                }
            }
            Value::Array(items) => {
                self.json.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.json.push(',');
                    }
                    self.below(&format!("[{index}]"), item)?;
                }
                self.json.push(']');
            }
            Value::Object(members) => {
                self.json.push('{');
                for (index, (key, item)) in members.iter().enumerate() {
                    if index > 0 {
                        self.json.push(',');
                    }
                    push_text(&mut self.json, key);
                    self.json.push(':');
                    self.below(&format!(".{key}"), item)?;
                }
                self.json.push('}');
            }
            other => self.json.push_str(&other.to_string()),
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
