//! The end: what the exchange has come to becomes the codec's response.

use http::{HeaderValue, Method, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use nylon_plugin::{ResponseBody, Run};

use super::course::Course;
use crate::body::{AnswerBody, Passing, Source};

/// How far an exchange has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The head is with the codec.
    pub(super) head: bool,
    /// So is all of the body.
    pub(super) complete: bool,
    /// The upstream broke off after the head.
    pub(super) broken: bool,
    /// The client has left.
    pub(super) abandoned: bool,
    /// As the upstream declared it; for answers that have no body.
    pub(super) content_length: Option<u64>,
}

impl Course {
    /// Runs the exchange up to the head of its answer.
    pub(crate) async fn run(mut self: Box<Self>) -> Response<AnswerBody> {
        let source = self.answer().await;
        self.respond(source)
    }

    fn respond(mut self: Box<Self>, mut source: Source) -> Response<AnswerBody> {
        if self.run.as_ref().is_some_and(Run::is_over) {
            self.run = None;
        }
        let answer = &mut self.exchange.response;
        let status = answer.status;
        let mut length = self.progress.content_length;
        if let ResponseBody::Full(bytes) = &answer.body {
            length = Some(bytes.len() as u64);
            source = Source::Full(bytes.clone());
        }
        if matches!(answer.body, ResponseBody::Stream(_))
            && let ResponseBody::Stream(stream) = std::mem::take(&mut answer.body)
        {
            length = None;
            source = Source::Stream(Passing::new(stream));
        }
        // Later phases still see what the client got.
        let mut headers = if self.run.is_some() { answer.headers.clone() } else { std::mem::take(&mut answer.headers) };
        headers.remove(header::CONTENT_LENGTH);
        let bodiless =
            status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED || status.is_informational();
        let is_head = self.exchange.request.method == Method::HEAD;
        if bodiless || is_head {
            source = Source::Empty;
            if let Some(length) = length.filter(|_| is_head && !bodiless) {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        if self.closes(&source) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.progress.head = true;
        if self.progress.abandoned {
            // Nobody reads this; should somebody do, it is no whole answer.
            self.connection.reset();
            self.progress.head = false;
        }
        let course = (!self.progress.abandoned).then_some(self);
        let mut response = Response::new(AnswerBody::new(source, course));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if status.canonical_reason().is_none() {
            response.extensions_mut().insert(ReasonPhrase::from_static(b"Status"));
        }
        response
    }

    /// Whether the connection cannot carry another request: the client would have to send a long body that nobody
    /// wants, or wait for a `100 Continue` that will not come.
    fn closes(&self, source: &Source) -> bool {
        let uploading = matches!(source, Source::Upstream { body, .. } if body.is_uploading());
        let undrainable = self.client_body.as_ref().is_some_and(|body| !body.is_done() && !body.is_drainable());
        self.progress.abandoned || (undrainable && !uploading)
    }
}
