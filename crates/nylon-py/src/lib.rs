//! The extension module nylon._core.
