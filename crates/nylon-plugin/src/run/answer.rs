//! The answer's head: response filters.

use std::rc::Rc;

use super::Run;
use crate::{Exchange, GatewayError, Phase};

impl Run {
    /// Runs the response filters in order on the answer in `exchange.response`, whatever it is: the upstream's, an
    /// early one, a plugin service's, or the gateway's own error answer (`exchange.error` is set). Header changes of
    /// the request filters come first. The entry that streams the answer, or whose failure made the error answer, is left out; the others see that
    /// answer even if they have seen the one it replaces.
    ///
    /// # Errors
    /// The first failure whose policy is `fail`; the caller makes the error answer, sets `exchange.error` and calls
    /// this once more. On an error answer failures are logged only: the first error stands.
    pub async fn response_filters(&mut self, exchange: &mut Exchange) -> Result<(), GatewayError> {
        exchange.apply_early_headers(self.to_keep(exchange.early.headers.len()));
        let chain = Rc::clone(&self.chain);
        for place in &chain.links {
            let left_out = if exchange.error.is_some() { self.failed } else { self.streaming };
            if left_out == Some(place.session) {
                continue;
            }
            let entry = &self.entries[place.link.entry];
            let slot = &self.slots[place.session];
            if slot.left_out(&place.link, Phase::ResponseFilter)
                || !slot.wants(entry, &place.link, Phase::ResponseFilter)
            {
                continue;
            }
            if let Err(error) = self.phase(place, Phase::ResponseFilter, place.link.retry, exchange).await {
                self.failure(place, Phase::ResponseFilter, error, exchange)?;
            }
        }
        Ok(())
    }
}
