//! Knowing that the server has done what it was asked for: it is asked for a message to this thread itself.

use std::time::Duration;

use async_nats::Subject;
use bytes::Bytes;
use futures_util::StreamExt;
use nylon_wire::subject;

use super::RoomError;
use crate::{PublishError, gateway::link::Link};

/// How long the server may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl Link {
    /// Waits until what has been said by now in the rooms of this thread has come, but not for ever.
    pub(super) async fn settle(&self) {
        if let Err(error) = self.round_trip(PATIENCE).await {
            tracing::debug!(%error, "waiting for what has been said in rooms");
        }
    }

    /// Returns when a message has come back through the server. By then it knows of the subscriptions made before, and has
    /// sent to this thread what was said before in its rooms; a flush of the client says only that all is written.
    pub(super) async fn round_trip(&self, limit: Duration) -> Result<(), RoomError> {
        let part = || self.random.borrow_mut().below(u32::MAX);
        let name = format!("{:08x}{:08x}", part(), part());
        let subject = subject::room(&self.messaging.options.prefix, &self.messaging.gateway, &name)?;
        let mut messages = self.connection.subscribe(subject.clone()).await?;
        self.connection.publish(Subject::from(subject), None, Bytes::new())?;
        match tokio::time::timeout(limit, messages.next()).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(PublishError::Disconnected.into()),
            Err(_) => Err(PublishError::Congested.into()),
        }
    }
}
