//! Locks that stay usable after a panic.
//!
//! Every lock of this program is held only around whole insertions, so a thread that panics leaves
//! nothing half done behind it, and the panic itself is reported where the thread is joined.

use std::sync::PoisonError;

/// Takes what a lock, a wait or a mutex gives, whether or not a thread panicked while it held it.
pub trait Unpoisoned<T> {
    /// The guard, or the value itself.
    fn unpoisoned(self) -> T;
}

impl<T> Unpoisoned<T> for Result<T, PoisonError<T>> {
    fn unpoisoned(self) -> T {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}
