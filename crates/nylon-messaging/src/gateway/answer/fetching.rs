//! What a worker fetches while its phase runs.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use nylon_plugin::{BodyError, Exchange, PluginError, PluginErrorKind};
use nylon_wire::{AbortReason, FetchFrame, FetchKind, Frame, failure};

use crate::gateway::{
    session::NatsSession,
    slots::Event,
    talk::{Talk, Upload},
    waiting::{Stop, Wait},
};

enum Step {
    Body(Result<Bytes, BodyError>),
    Event(Event),
}

impl NatsSession {
    pub(super) async fn fetch(
        &mut self,
        talk: &mut Talk,
        exchange: Option<&mut Exchange>,
        fetch: FetchFrame,
        wait: &mut Wait,
    ) -> Result<(), Stop> {
        talk.fetched = true;
        let options = &self.entry().shared.options;
        let most = usize::try_from(fetch.max_bytes).unwrap_or(usize::MAX);
        let found = match (fetch.what, exchange) {
            (FetchKind::RequestBody, Some(exchange)) => {
                talk.fetched_body = true;
                let limit = most.min(options.max_body_bytes);
                return self.request_body(talk, exchange, fetch.call_id, limit, wait).await;
            }
            (FetchKind::RequestStream, Some(exchange)) => {
                talk.upload.get_or_insert_with(|| Upload::new(fetch.call_id));
                match exchange.request_body.stream(options.kept_body()) {
                    Ok(body) => {
                        talk.answer_as_it_comes(fetch.call_id, body, fetch.max_bytes);
                        return Ok(());
                    }
                    Err(error) => return Ok(talk.refuse(fetch.call_id, failure::NOT_FOUND, &error.to_string())?),
                }
            }
            (FetchKind::ResponseBody, Some(exchange)) => exchange.response.body.full().cloned(),
            (FetchKind::Config, _) => options.config.clone(),
            (FetchKind::OpenRest, _) => talk.whole_open.clone(),
            // The body that a filter reads as it comes follows on its STREAM.
            (FetchKind::ResponseStream, _) => None,
            (FetchKind::RequestBody | FetchKind::ResponseBody | FetchKind::RequestStream, None) => None,
        };
        match found {
            Some(bytes) if bytes.len() <= most => talk.answer_with(fetch.call_id, bytes),
            Some(bytes) => {
                let text = format!("{} bytes, asked for at most {most}", bytes.len());
                talk.refuse(fetch.call_id, failure::BODY_TOO_LARGE, &text)?;
            }
            None => talk.refuse(fetch.call_id, failure::NOT_FOUND, "there is no such thing in this phase")?,
        }
        Ok(())
    }

    /// Reads the request body for the worker, while frames, deadlines and losses are still heard.
    async fn request_body(
        &self,
        talk: &mut Talk,
        exchange: &mut Exchange,
        call: u32,
        limit: usize,
        wait: &mut Wait,
    ) -> Result<(), Stop> {
        let mut reading = exchange.request_body.read_all(limit);
        loop {
            let step = poll_fn(|cx| match reading.as_mut().poll(cx) {
                Poll::Ready(body) => Poll::Ready(Step::Body(body)),
                Poll::Pending => talk.lease.poll(wait.due(talk), cx).map(Step::Event),
            });
            match step.await {
                Step::Body(Ok(body)) => {
                    talk.answer_with(call, body);
                    return Ok(());
                }
                Step::Body(Err(BodyError::TooLarge(limit))) => {
                    let text = format!("the request body is longer than {limit} bytes");
                    talk.refuse(call, failure::BODY_TOO_LARGE, &text)?;
                    talk.close();
                    return Err(PluginError::new(PluginErrorKind::RequestBodyTooLarge, text).into());
                }
                Step::Body(Err(error @ BodyError::Taken)) => {
                    talk.refuse(call, failure::NOT_FOUND, &error.to_string())?;
                    return Ok(());
                }
                Step::Body(Err(BodyError::Client(error))) => {
                    let kind = PluginErrorKind::ClientGone;
                    return Err(talk.fail(kind, AbortReason::ClientGone, format!("reading the body: {error}")).into());
                }
                Step::Event(Event::Signal(signal)) => self.signal(talk, signal, wait)?,
                Step::Event(Event::Frame(payload)) => match talk.decode(&payload)? {
                    None | Some(Frame::Probe(_)) => {}
                    Some(Frame::Credit(credit)) => talk.credit.grant(credit.bytes),
                    Some(frame) => {
                        // A phase that ends needs its body no more.
                        let ends = matches!(frame, Frame::Result(_) | Frame::Error(_) | Frame::Abort(_));
                        talk.deferred.push_back(frame);
                        if ends {
                            return Ok(());
                        }
                    }
                },
            }
        }
    }
}
