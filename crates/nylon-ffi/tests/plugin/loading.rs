//! What is loaded, and what is not.

use std::time::Duration;

use nylon_ffi::{Library, LoadError};

use crate::support::{file, library};

#[test]
fn a_library_that_is_named_twice_is_loaded_once() {
    assert!(std::ptr::eq(library(&[]), library(&[])));
    assert!(!std::ptr::eq(library(&[]), library(&["MASK"])));
}

#[test]
fn the_shutdown_of_libc_is_not_taken_for_the_librarys() {
    assert!(matches!(Library::load(&file(&["NO_SHUTDOWN"])), Err(LoadError::Missing("shutdown"))));
    assert!(matches!(Library::load(&file(&["NO_EVENTS"])), Err(LoadError::Missing("event_stream"))));
}

#[test]
fn what_is_no_library_is_said_to_be_none() {
    let text = file(&[]).with_extension("txt");
    std::fs::write(&text, "no library").unwrap();
    assert!(matches!(Library::load(&text), Err(LoadError::Open(_))));
    assert!(matches!(Library::load(&text.with_extension("gone")), Err(LoadError::File(_))));
}

#[test]
fn initialize_and_shutdown_have_time_limits() {
    let library = library(&["LIMITS"]);
    let hangs = |config| library.initialize(Some(config), Duration::from_millis(100));
    assert!(matches!(hangs(r#"{"hang_initialize":1}"#), Err(LoadError::Initialize(_))));
    assert!(library.initialize(None, Duration::from_secs(10)).is_ok(), "another thread does it");
    assert!(library.shut_down(Duration::from_secs(10)));
    assert!(library.initialize(Some(r#"{"hang_shutdown":1}"#), Duration::from_secs(10)).is_ok());
    assert!(!library.shut_down(Duration::from_millis(200)));
}
