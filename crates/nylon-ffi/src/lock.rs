//! Locks that outlive a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Poisoning only says that another thread panicked; every value under our locks is whole at all times.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
