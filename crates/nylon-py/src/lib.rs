//! The extension module nylon._core: few classes, plain values in and out.

#![allow(unsafe_code)] // what the PyO3 macros expand to
#![allow(missing_docs)] // documented in python/nylon/_core.pyi, where its users look

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
