//! The C side of the ABI: the one structure, the symbols of a library, and where they have to come from.

use std::{
    ffi::{CStr, c_void},
    mem::{align_of, offset_of, size_of},
    path::Path,
};

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use nylon_plugin::PhaseMask;

use crate::{batch::Batch, load_error::LoadError};

/// What crosses the boundary, both ways. Natural C layout of 64-bit platforms.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FfiBuffer {
    /// The session.
    pub sid: u32,
    /// 1 to 4 where a phase begins, 0 otherwise.
    pub phase: u8,
    /// What is asked for, answered, or has happened.
    pub method: u32,
    /// Belongs to the sender, valid until the call returns.
    pub ptr: *const u8,
    /// Bytes behind `ptr`.
    pub len: u64,
}

const _: () = assert!(size_of::<FfiBuffer>() == 32 && align_of::<FfiBuffer>() == 8);
const _: () = assert!(offset_of!(FfiBuffer, phase) == 4 && offset_of!(FfiBuffer, method) == 8);
const _: () = assert!(offset_of!(FfiBuffer, ptr) == 16 && offset_of!(FfiBuffer, len) == 24);

/// How a library calls the gateway.
pub(crate) type Callback = extern "C" fn(*const FfiBuffer);

type Initialize = unsafe extern "C" fn(*const u8, u32);
type Shutdown = unsafe extern "C" fn();
type Register = unsafe extern "C" fn(u32, *const u8, u32, Callback) -> u8;
type EventStream = unsafe extern "C" fn(*const FfiBuffer);
type Close = unsafe extern "C" fn(u32);
type SessionPhases = unsafe extern "C" fn(u32) -> u8;
type HostExtensions = unsafe extern "C" fn(*const u32, u32);
type RunPhase = unsafe extern "C" fn(u32, u8) -> u8;

/// What a message without payload points to: libraries may take NULL badly, and small integers are no pointers either.
static NOTHING: u8 = 0;

/// The functions of a library. They stay valid: no library is ever closed.
pub(crate) struct Symbols {
    initialize: Initialize,
    shutdown: Shutdown,
    register: Register,
    event_stream: EventStream,
    close: Close,
    session_phases: Option<SessionPhases>,
    host_extensions: Option<HostExtensions>,
    run_phase: Option<RunPhase>,
    /// The library brings a Go runtime.
    pub(crate) go: bool,
}

/// Methods beyond the ABI that the gateway takes, as libraries are told: request headers, headers that keep what is there,
/// the failure of a handler, the request's body in pieces, its id, WebSockets with options and codes, headers of any bytes,
/// the answer's body in pieces, and several messages in one.
const EXTENSIONS: [u32; 13] = [400, 401, 402, 410, 430, 431, 432, 433, 434, 435, 436, 437, 438];

/// Beside the bits of the phases: the body filter takes the body piece by piece.
const STREAMS: u8 = 16;

impl Symbols {
    /// Opens a library and looks its functions up.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        // A library may write to a socket that its peer has closed. Go's handler forwards to what was there before it.
        // SAFETY: ignoring a signal has no precondition.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        // Go starts its first threads here, its monitor among them, and the others from those.
        let _batch = Batch::begin();
        // SAFETY: running a library's constructors is what the operator asks for by naming it.
        let library = unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL) };
        let library = library.map_err(|error| LoadError::Open(plain(&error)))?;
        // SAFETY: the types are those of the ABI. What the library really has behind the names cannot be checked.
        let symbols = unsafe {
            Self {
                initialize: required(&library, c"initialize")?,
                shutdown: required(&library, c"shutdown")?,
                register: required(&library, c"register_session_stream")?,
                event_stream: required(&library, c"event_stream")?,
                close: required(&library, c"close_session_stream")?,
                session_phases: optional(&library, c"nylon_session_phases"),
                host_extensions: optional(&library, c"nylon_host_extensions"),
                run_phase: optional(&library, c"nylon_run_phase"),
                go: optional::<Shutdown>(&library, c"crosscall2").is_some(),
            }
        };
        // SAFETY: as above; it is never called.
        let _: Shutdown = unsafe { required(&library, c"plugin_free")? };
        // libc has a `shutdown` too, and looking the name up finds that one if the library has none.
        let home = home_of(symbols.register as *const c_void);
        if home.is_none() || home_of(symbols.shutdown as *const c_void) != home {
            return Err(LoadError::Missing("shutdown"));
        }
        // Code of a library may run for as long as the process does: it is never unloaded.
        std::mem::forget(library);
        Ok(symbols)
    }

    /// Hands the configuration over: JSON text, or nothing.
    pub(crate) fn initialize(&self, config: &[u8]) {
        if let Some(announce) = self.host_extensions {
            // SAFETY: the numbers outlive the call.
            unsafe { announce(EXTENSIONS.as_ptr(), EXTENSIONS.len() as u32) };
        }
        let length = u32::try_from(config.len()).unwrap_or_default();
        // SAFETY: the text outlives the call.
        unsafe { (self.initialize)(or_nothing(config), length) };
    }

    pub(crate) fn shutdown(&self) {
        // SAFETY: it takes nothing.
        unsafe { (self.shutdown)() };
    }

    /// Begins a session; whether the library has such an entry.
    pub(crate) fn register(&self, sid: u32, entry: &str, callback: Callback) -> bool {
        let length = u32::try_from(entry.len()).unwrap_or_default();
        // SAFETY: the name outlives the call, the callback the process.
        unsafe { (self.register)(sid, or_nothing(entry.as_bytes()), length, callback) != 0 }
    }

    /// Tells a session something.
    pub(crate) fn event(&self, sid: u32, phase: u8, method: u32, payload: &[u8]) {
        let buffer = FfiBuffer { sid, phase, method, ptr: or_nothing(payload), len: payload.len() as u64 };
        // SAFETY: structure and payload outlive the call.
        unsafe { (self.event_stream)(&raw const buffer) };
    }

    /// Whether the library knows how to run a handler within the call that begins its phase.
    pub(crate) fn runs_phases(&self) -> bool {
        self.run_phase.is_some()
    }

    /// Tells a session to begin a phase. `may_run`: the library may run the handler before it returns, if it knows how to.
    /// Whether the handler has come to its end.
    pub(crate) fn start(&self, sid: u32, phase: u8, may_run: bool) -> bool {
        match self.run_phase {
            // SAFETY: it takes two numbers.
            Some(run) if may_run => unsafe { run(sid, phase) != 0 },
            _ => {
                self.event(sid, phase, 0, &[]);
                false
            }
        }
    }

    pub(crate) fn close(&self, sid: u32) {
        // SAFETY: it takes a number.
        unsafe { (self.close)(sid) };
    }

    /// Whether the library knows of methods beyond the ABI.
    pub(crate) fn takes_extensions(&self) -> bool {
        self.host_extensions.is_some()
    }

    /// Whether the library says which phases a session has.
    pub(crate) fn has_masks(&self) -> bool {
        self.session_phases.is_some()
    }

    /// The phases that a session has registered: bit `1 << (phase - 1)`; and whether its body filter takes the body piece by
    /// piece. `None` from a library that cannot say.
    pub(crate) fn session_phases(&self, sid: u32) -> Option<(PhaseMask, bool)> {
        // SAFETY: it takes a number.
        let bits = self.session_phases.map(|phases| unsafe { phases(sid) })?;
        Some((PhaseMask(bits & !STREAMS), bits & STREAMS != 0))
    }
}

fn or_nothing(payload: &[u8]) -> *const u8 {
    if payload.is_empty() { &raw const NOTHING } else { payload.as_ptr() }
}

/// # Safety
/// `T` is the type of the function behind the name.
unsafe fn required<T: Copy>(library: &Library, name: &'static CStr) -> Result<T, LoadError> {
    // SAFETY: by the caller.
    unsafe { optional(library, name) }.ok_or_else(|| LoadError::Missing(name.to_str().unwrap_or_default()))
}

/// # Safety
/// `T` is the type of the function behind the name.
unsafe fn optional<T: Copy>(library: &Library, name: &'static CStr) -> Option<T> {
    // SAFETY: by the caller.
    unsafe { library.get::<T>(name.to_bytes_with_nul()) }.ok().map(|symbol| *symbol)
}

/// The object that an address lies in.
fn home_of(address: *const c_void) -> Option<usize> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked for, and `found` is written only.
    let known = unsafe { libc::dladdr(address, &raw mut found) };
    (known != 0).then_some(found.dli_fbase as usize)
}

/// What the dynamic linker says, without the name of the call.
fn plain(error: &libloading::Error) -> String {
    match error {
        libloading::Error::DlOpen { source } => source.to_string(),
        other => other.to_string(),
    }
}
