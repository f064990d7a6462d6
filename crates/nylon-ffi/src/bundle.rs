//! Several messages in one call of a library: what a call costs, it costs once.

use std::sync::Arc;

use crate::{extension, shared::Shared};

impl Shared {
    /// Messages one behind the other: method, length, payload.
    pub(crate) fn several(self: &Arc<Self>, mut rest: &[u8]) {
        while let Some((head, behind)) = rest.split_first_chunk::<8>() {
            let [number, length] =
                [&head[..4], &head[4..]].map(|part| part.iter().rfold(0, |n, &b| n << 8 | u32::from(b)));
            let Some((payload, next)) = behind.split_at_checked(length as usize) else { break };
            if number == extension::SEVERAL {
                break;
            }
            self.call(number, payload);
            rest = next;
        }
        if !rest.is_empty() {
            self.violation(format_args!("the payload of method {} is not understood", extension::SEVERAL));
        }
    }
}
