//! Values of the kernel's types and objects' as Python values.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use ebpflab::btf::Data;
use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyTuple, PyType},
};

/// Integers, bools, floats; text as `os.fsdecode` makes it; bytes; tuples; `ebpflab.Enumerator` and `ebpflab.Struct`.
pub(crate) fn to_python<'py>(py: Python<'py>, data: &Data) -> PyResult<Bound<'py, PyAny>> {
    static ENUMERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static STRUCT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    Ok(match data {
        Data::Signed(value) => value.into_pyobject(py)?.into_any(),
        Data::Unsigned(value) => value.into_pyobject(py)?.into_any(),
        Data::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Data::Float(value) => value.into_pyobject(py)?.into_any(),
        Data::Address(value) => value.into_pyobject(py)?.into_any(),
        Data::Text(bytes) => OsStr::from_bytes(bytes).into_pyobject(py)?.into_any(),
        Data::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Data::Enum(value, name) => {
            ENUMERATOR.import(py, "ebpflab.values", "Enumerator")?.call1((value, name.as_deref()))?
        }
        Data::List(values) => {
            let values: Vec<_> = values.iter().map(|value| to_python(py, value)).collect::<PyResult<_>>()?;
            PyTuple::new(py, values)?.into_any()
        }
        Data::Struct(name, members) => {
            let found = PyDict::new(py);
            for (name, value) in members {
                found.set_item(name, to_python(py, value)?)?;
            }
            STRUCT.import(py, "ebpflab.values", "Struct")?.call1((name, found))?
        }
        Data::Nothing => py.None().into_bound(py),
    })
}
