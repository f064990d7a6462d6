//! How libraries call the gateway: any thread, any time, for any session they ever had.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    abi::{Callback, FfiBuffer},
    complaints::Complaints,
    table::TABLE,
};

/// Libraries that one process may have.
const LIBRARIES: usize = 32;
/// No payload is longer than this; what claims to be has lost its length.
const LONGEST: u64 = 1 << 30;

/// Calls for no session: late ones, and wrong ones.
static STRAY: Complaints = Complaints::new();

/// Calls of all libraries for sessions that were over, or never theirs.
#[must_use]
pub fn stray_calls() -> u64 {
    STRAY.total()
}

/// Every library has a callback of its own, so that a wrong number can only ever be another session of its own.
extern "C" fn on_call<const LIBRARY: usize>(buffer: *const FfiBuffer) {
    // Nothing here is known to panic; if it did, unwinding into C would be worse.
    let caught = catch_unwind(AssertUnwindSafe(|| take(LIBRARY, buffer)));
    if caught.is_err() {
        tracing::error!("a call of a plugin library was dropped: this is a bug of nylon");
    }
}

fn take(library: usize, buffer: *const FfiBuffer) {
    if buffer.is_null() {
        STRAY.add("unknown", format_args!("it calls without a buffer"));
        return;
    }
    // SAFETY: the ABI says that there is a buffer until this returns. It need not be aligned.
    let buffer = unsafe { buffer.read_unaligned() };
    let session = TABLE.get(buffer.sid).filter(|session| session.library.index == library);
    let Some(session) = session else {
        STRAY.add("unknown", format_args!("it calls for session {}, which is over or not its own", buffer.sid));
        return;
    };
    let payload = match usize::try_from(buffer.len) {
        Ok(0) => &[],
        Ok(length) if !buffer.ptr.is_null() && buffer.len <= LONGEST => {
            // SAFETY: the ABI says that so many bytes are there until this returns.
            unsafe { std::slice::from_raw_parts(buffer.ptr, length) }
        }
        _ => {
            session.violation(format_args!("a payload of {} bytes is not there", buffer.len));
            return;
        }
    };
    session.call(buffer.method, payload);
}

macro_rules! callbacks {
    ($($index:literal)*) => { [$(on_call::<$index>),*] };
}

/// By the index of the library.
pub(crate) static CALLBACKS: [Callback; LIBRARIES] =
    callbacks!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
