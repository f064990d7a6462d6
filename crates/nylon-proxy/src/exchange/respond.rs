//! The end: what the exchange has come to becomes the codec's response.

use std::rc::Rc;

use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use hyper::ext::ReasonPhrase;
use nylon_plugin::{Request, ResponseBody, Run, Upgrade};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::course::Course;
use crate::{
    body::{AnswerBody, Passing, Source},
    websocket::Switch,
};

impl Course {
    /// Runs the exchange up to the head of its answer.
    pub(crate) async fn run(mut self: Box<Self>) -> Response<AnswerBody> {
        let source = self.answer().await;
        self.respond(source)
    }

    /// The 101, behind which the connection is a WebSocket.
    fn switch(mut self: Box<Self>, upgrade: Box<Upgrade>) -> Response<AnswerBody> {
        let key = self.exchange.request.websocket_key().unwrap_or_default();
        let accept = HeaderValue::from_str(&derive_accept_key(key));
        let mut headers = self.exchange.response.headers.clone();
        for name in [header::CONTENT_LENGTH, header::SEC_WEBSOCKET_EXTENSIONS, header::SEC_WEBSOCKET_PROTOCOL] {
            headers.remove(name);
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        // Base64 and a name that the client has sent: both fit into a header.
        headers.extend(accept.ok().map(|accept| (header::SEC_WEBSOCKET_ACCEPT, accept)));
        let chosen = upgrade.subprotocol.as_deref().and_then(|name| HeaderValue::from_str(name).ok());
        headers.extend(chosen.map(|name| (header::SEC_WEBSOCKET_PROTOCOL, name)));
        self.progress.head = true;
        detach(&mut self.exchange.request);
        let connection = Rc::clone(&self.connection);
        connection.switch(Switch { course: self, upgrade, drains: connection.drains() });
        let mut response = Response::new(AnswerBody::new(Source::Empty, None));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        response
    }

    fn respond(mut self: Box<Self>, mut source: Source) -> Response<AnswerBody> {
        if let ResponseBody::Socket(_) = &self.exchange.response.body
            && let ResponseBody::Socket(upgrade) = std::mem::take(&mut self.exchange.response.body)
        {
            return self.switch(upgrade);
        }
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
            source = Source::Stream(Passing::new(stream, length.take()));
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

    /// Whether the connection cannot carry another request: the client has broken its body, would have to send a long
    /// one that nobody wants, or wait for a `100 Continue` that will not come.
    fn closes(&self, source: &Source) -> bool {
        let uploading = matches!(source, Source::Upstream { body, .. } if body.is_uploading());
        let broken = self.client_body.as_ref().is_some_and(|body| body.failure().is_some());
        let undrainable = self.client_body.as_ref().is_some_and(|body| !body.is_done() && !body.is_drainable());
        self.progress.abandoned || broken || (undrainable && !uploading)
    }
}

/// Gives the head memory of its own: a socket that lives for long must not keep the codec's whole read buffer.
fn detach(request: &mut Request) {
    for value in request.headers.values_mut() {
        if let Ok(own) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = own;
        }
    }
    if let Ok(own) = Uri::try_from(request.uri.to_string()) {
        request.uri = own;
    }
}
