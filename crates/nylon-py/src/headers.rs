//! `Headers`, `ResponseHeaders` and `QueryParams`: mappings that know repeats.

use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyString};

use crate::call::Call;
use crate::header_list::{self, Pairs};
use crate::{form, reports};

fn iterate(py: Python<'_>, names: Vec<String>) -> PyResult<Bound<'_, PyIterator>> {
    PyList::new(py, names)?.try_iter()
}

fn equal(py: Python<'_>, merged: Vec<(String, String)>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
    let own = PyDict::new(py);
    for (name, value) in merged {
        own.set_item(name, value)?;
    }
    let theirs = PyDict::new(py);
    if theirs.call_method1("update", (other,)).is_err() {
        return Ok(false);
    }
    own.eq(theirs)
}

macro_rules! mapping {
    ($class:ident, $name:literal, { $($more:tt)* }) => {
        #[pymethods]
        impl $class {
            fn __getitem__(&self, name: &str) -> PyResult<String> {
                self.look(|headers| header_list::joined(headers, name))
                    .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
            }

            fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
                let Ok(name) = name.cast::<PyString>() else { return Ok(false) };
                let name = name.to_cow()?;
                Ok(self.look(|headers| header_list::first(headers, &name)).is_some())
            }

            fn __len__(&self) -> usize {
                self.look(header_list::merged).len()
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
                iterate(py, self.keys())
            }

            fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                equal(py, self.look(header_list::merged), other)
            }

            fn __repr__(&self) -> String {
                // Names only: values carry credentials, and this ends up in logs.
                format!(concat!("<", $name, " {}>"), self.keys().join(", "))
            }

            #[pyo3(signature = (name, default=None))]
            fn get<'py>(
                &self,
                py: Python<'py>,
                name: &str,
                default: Option<Bound<'py, PyAny>>,
            ) -> PyResult<Option<Bound<'py, PyAny>>> {
                match self.look(|headers| header_list::joined(headers, name)) {
                    Some(value) => Ok(Some(PyString::new(py, &value).into_any())),
                    None => Ok(default),
                }
            }

            fn get_all(&self, name: &str) -> Vec<String> {
                self.look(|headers| header_list::values(headers, name))
            }

            fn keys(&self) -> Vec<String> {
                self.look(header_list::merged).into_iter().map(|(name, _)| name).collect()
            }

            fn values(&self) -> Vec<String> {
                self.look(header_list::merged).into_iter().map(|(_, value)| value).collect()
            }

            fn items(&self) -> Vec<(String, String)> {
                self.look(header_list::merged)
            }

            fn multi_items(&self) -> Vec<(String, String)> {
                self.look(|headers| {
                    headers.map(|(name, value)| (name.to_ascii_lowercase(), header_list::decode(value))).collect()
                })
            }

            $($more)*
        }
    };
}

/// The request's headers.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct Headers(pub(crate) Arc<Call>);

impl Headers {
    fn look<T>(&self, look: impl FnOnce(Pairs<'_, '_>) -> T) -> T {
        self.0.request_headers(look)
    }
}

mapping!(Headers, "Headers", {});

/// The response's headers as they are now; changing them is asking the gateway for the change.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct ResponseHeaders(pub(crate) Arc<Call>);

impl ResponseHeaders {
    fn look<T>(&self, look: impl FnOnce(Pairs<'_, '_>) -> T) -> T {
        self.0.response_headers(look)
    }
}

mapping!(ResponseHeaders, "ResponseHeaders", {
    fn __setitem__(&self, py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
        reports::tell(py, &self.0, self.0.set_header(name, value.as_bytes()))
    }

    fn __delitem__(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        if self.look(|headers| header_list::first(headers, name)).is_none() {
            return Err(PyKeyError::new_err(name.to_owned()));
        }
        reports::tell(py, &self.0, self.0.remove_header(name))
    }
});

/// The parameters of the query string, decoded.
#[pyclass(frozen, module = "nylon._core")]
pub(crate) struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    pub(crate) fn new(query: &str) -> Self {
        Self(form::pairs(query))
    }

    fn first(&self, name: &str) -> Option<&String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn distinct(&self) -> Vec<(String, String)> {
        let mut distinct: Vec<(String, String)> = Vec::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            if !distinct.iter().any(|(known, _)| known == name) {
                distinct.push((name.clone(), value.clone()));
            }
        }
        distinct
    }
}

#[pymethods]
impl QueryParams {
    fn __getitem__(&self, name: &str) -> PyResult<&String> {
        self.first(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(name) = name.cast::<PyString>() else { return Ok(false) };
        Ok(self.first(&name.to_cow()?).is_some())
    }

    fn __len__(&self) -> usize {
        self.distinct().len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        iterate(py, self.keys())
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        equal(py, self.distinct(), other)
    }

    fn __repr__(&self) -> String {
        format!("<QueryParams {}>", self.keys().join(", "))
    }

    #[pyo3(signature = (name, default=None))]
    fn get<'py>(&self, py: Python<'py>, name: &str, default: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
        self.first(name).map(|value| PyString::new(py, value).into_any()).or(default)
    }

    fn get_all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    fn keys(&self) -> Vec<String> {
        self.distinct().into_iter().map(|(name, _)| name).collect()
    }

    fn values(&self) -> Vec<String> {
        self.distinct().into_iter().map(|(_, value)| value).collect()
    }

    fn items(&self) -> Vec<(String, String)> {
        self.distinct()
    }

    fn multi_items(&self) -> Vec<(String, String)> {
        self.0.clone()
    }
}
