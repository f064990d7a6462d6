//! A body while it comes: nothing of it is given away until a handler gets it, so that a wait that was cancelled swallows none.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::arrival::{Arrival, OnArrival};
use crate::failure::Failure;
use crate::job::Reader;
use crate::lock::lock;

/// What has come of a body and was not taken, and who waits for more.
pub(crate) struct Reading {
    reader: Reader,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rest: Bytes,
    /// Whether the reader was asked for the next piece.
    asked: bool,
    /// With how much it wants at most.
    waiter: Option<(usize, OnArrival)>,
}

impl Reading {
    pub(crate) fn new(reader: Reader) -> Arc<Self> {
        Arc::new(Self { reader, state: Mutex::default() })
    }

    /// Calls back when there is a piece to take, or the end. One read at a time: who waited before is refused.
    pub(crate) fn ready(self: &Arc<Self>, most: usize, done: OnArrival) {
        let mut state = lock(&self.state);
        if !state.rest.is_empty() {
            drop(state);
            return done(Ok(Arrival::Piece(Arc::clone(self), most)));
        }
        let before = state.waiter.replace((most, done));
        let asks = !std::mem::replace(&mut state.asked, true);
        drop(state);
        if let Some((_, before)) = before {
            before(Err(Failure::Other("another read has taken its place".to_owned())));
        }
        if asks {
            let this = Arc::clone(self);
            self.reader.read(Box::new(move |piece| this.came(piece)));
        }
    }

    fn came(self: Arc<Self>, piece: Result<Option<Bytes>, Failure>) {
        let waiter = {
            let mut state = lock(&self.state);
            state.asked = false;
            if let Ok(Some(piece)) = &piece {
                state.rest = piece.clone();
            }
            state.waiter.take()
        };
        if let Some((most, done)) = waiter {
            done(piece.map(|piece| piece.map_or(Arrival::End, |_| Arrival::Piece(self, most))));
        }
    }

    /// Takes at most so much of what has come; nothing if somebody else was faster.
    pub(crate) fn take(&self, most: usize) -> Option<Bytes> {
        let mut state = lock(&self.state);
        let here = state.rest.len().min(most);
        (here > 0).then(|| state.rest.split_to(here))
    }
}
