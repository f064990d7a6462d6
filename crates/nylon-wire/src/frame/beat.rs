//! BEAT: what a worker announces four times a second (SPEC 19).

use super::open::{read_revision, read_version, write_revision};
use super::{Revision, closed};
use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::{BodyMode, DecodeError, Ext, FrameType, PROTOCOL_VERSION, PhaseMask, Text, WorkerState};
use bytes::BytesMut;

/// An entry a worker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeatEntry {
    /// Its name.
    pub entry: Text,
    /// The phases it announces; the session's own mask decides (rules §5).
    pub mask: PhaseMask,
    /// How its body filter wants the body.
    pub body_mode: BodyMode,
}

/// BEAT: load and state of a worker. Not a session frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeatFrame {
    /// Its group; must be the one in the subject.
    pub group: Text,
    /// The worker; must be the one in the subject.
    pub worker: Text,
    /// Number of this beat, from 0.
    pub seq: u32,
    /// Sessions in user code or waiting for it.
    pub load: u32,
    /// Most sessions it takes.
    pub limit: u32,
    /// Whether it takes no new sessions.
    pub draining: bool,
    /// Age of the oldest running handler, milliseconds; 0 = none.
    pub oldest_running_ms: u64,
    /// Age of the oldest open that waits for user code, milliseconds; 0 = none.
    pub oldest_waiting_ms: u64,
    /// Its entries.
    pub entries: Vec<BeatEntry>,
    /// The config it serves.
    pub revision: Option<Revision>,
    /// State of its configuration.
    pub state: WorkerState,
    /// Extensions.
    pub ext: Ext,
}

impl BeatFrame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let w = &mut Writer::new(out);
        w.array(14);
        w.uint(u64::from(FrameType::Beat.number()));
        w.uint(PROTOCOL_VERSION);
        w.str(&self.group);
        w.str(&self.worker);
        w.uint(u64::from(self.seq));
        w.uint(u64::from(self.load));
        w.uint(u64::from(self.limit));
        w.bool(self.draining);
        w.uint(self.oldest_running_ms);
        w.uint(self.oldest_waiting_ms);
        w.array(self.entries.len());
        for entry in &self.entries {
            w.array(3);
            w.str(&entry.entry);
            w.uint(u64::from(entry.mask.0));
            w.uint(u64::from(entry.body_mode.number()));
        }
        write_revision(self.revision.as_ref(), w);
        w.uint(u64::from(self.state.number()));
        self.ext.write(w);
    }

    pub(super) fn read(f: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        read_version(f)?;
        Ok(BeatFrame {
            group: f.text("group")?,
            worker: f.text("worker")?,
            seq: f.u32("seq")?,
            load: f.u32("load")?,
            limit: f.u32("limit")?,
            draining: f.bool_or(false)?,
            oldest_running_ms: f.safe_or("oldest_running_ms", 0)?,
            oldest_waiting_ms: f.safe_or("oldest_waiting_ms", 0)?,
            entries: read_entries(f)?,
            revision: read_revision(f)?,
            state: WorkerState::from_number(f.safe_or("state", 0)?),
            ext: f.ext()?,
        })
    }
}

fn read_entries(fields: &mut Fields<'_, '_>) -> Result<Vec<BeatEntry>, DecodeError> {
    let Some(mut list) = fields.opt_nested()? else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::with_capacity(list.left().min(16));
    while list.left() > 0 {
        let mut inner = list.nested("entry")?;
        entries.push(BeatEntry {
            entry: inner.text("entry")?,
            mask: PhaseMask(inner.u32("mask")?),
            body_mode: closed(&mut inner, "body_mode", BodyMode::from_number)?,
        });
        inner.finish()?;
    }
    Ok(entries)
}
