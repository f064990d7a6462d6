//! What a connection is subscribed to, on either transport.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_nats::{Message, Subscriber};
use futures_util::Stream;

use crate::{PublishError, bus::BusSubscription};

/// A stream of messages; it ends when it is unsubscribed or its connection is closed, after what had come by then.
pub struct Subscription(Source);

enum Source {
    Nats(Subscriber),
    Memory(BusSubscription),
}

impl From<Subscriber> for Subscription {
    fn from(subscriber: Subscriber) -> Self {
        Self(Source::Nats(subscriber))
    }
}

impl From<BusSubscription> for Subscription {
    fn from(subscription: BusSubscription) -> Self {
        Self(Source::Memory(subscription))
    }
}

impl Subscription {
    /// Ends it now.
    pub(crate) async fn unsubscribe(&mut self) -> Result<(), PublishError> {
        match &mut self.0 {
            Source::Nats(subscriber) => subscriber.unsubscribe().await.map_err(|_| PublishError::Disconnected),
            Source::Memory(subscription) => {
                subscription.leave();
                Ok(())
            }
        }
    }

    /// Ends it once so many messages have come, counted from its beginning. In memory nothing is on its way, so leaving at
    /// once loses nothing.
    pub(crate) async fn unsubscribe_after(&mut self, count: u64) -> Result<(), PublishError> {
        match &mut self.0 {
            Source::Nats(subscriber) => {
                subscriber.unsubscribe_after(count).await.map_err(|_| PublishError::Disconnected)
            }
            Source::Memory(subscription) => {
                subscription.leave();
                Ok(())
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        match &mut self.0 {
            Source::Nats(subscriber) => Pin::new(subscriber).poll_next(context),
            Source::Memory(subscription) => subscription.poll_next(context),
        }
    }
}
