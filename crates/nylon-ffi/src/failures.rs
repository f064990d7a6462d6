//! Phases that fail because of what the library says.

use std::sync::Arc;

use nylon_plugin::PluginErrorKind;
use nylon_wire::failure;

use crate::{extension, flat, shared::Shared, state::Stage};

impl Shared {
    /// The handler has failed: what ERROR says on NATS.
    pub(crate) fn failed(self: &Arc<Self>, payload: &[u8]) {
        let Some((code, text)) = flat::read_header(payload) else {
            self.violation(format_args!("the payload of method {} is not understood", extension::FAIL));
            return;
        };
        let kind = match code {
            failure::PROTOCOL => PluginErrorKind::Protocol,
            failure::BODY_TOO_LARGE => PluginErrorKind::ResponseBodyTooLarge,
            _ => PluginErrorKind::Handler,
        };
        self.give_up(kind, format_args!("{code}: {}", String::from_utf8_lossy(text)));
    }

    /// The library broke the ABI: the phase that runs has failed.
    pub(crate) fn violation(self: &Arc<Self>, what: std::fmt::Arguments<'_>) {
        self.give_up(PluginErrorKind::Protocol, what);
    }

    fn give_up(self: &Arc<Self>, kind: PluginErrorKind, what: std::fmt::Arguments<'_>) {
        let mut state = self.state();
        match state.stage {
            Stage::Running(_) | Stage::Streaming | Stage::Upgrading | Stage::Socket => {
                self.fail(&mut state, kind, what.to_string());
            }
            Stage::Idle | Stage::Due(_) => self.complain(format_args!("{what}, outside of a phase: ignored")),
            Stage::Dead => {}
        }
    }
}
