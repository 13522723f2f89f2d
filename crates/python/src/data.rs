//! Values of the kernel's types and objects' as Python values.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use ebpflab::btf::Data;
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple, PyType},
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

/// The other way; structs may be any mappings, or the values of their members in a list or tuple.
pub(crate) fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Data> {
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Data::Bool(value.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return value.extract::<i128>().map(Data::Signed).or_else(|_| value.extract::<u128>().map(Data::Unsigned));
    }
    if let Ok(value) = value.cast::<PyFloat>() {
        return Ok(Data::Float(value.value()));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Data::Text(value.extract::<OsString>()?.into_vec()));
    }
    if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() {
        return Ok(Data::Bytes(value.extract::<Vec<u8>>()?));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let values = value.try_iter()?.map(|value| from_python(&value?));
        return Ok(Data::List(values.collect::<PyResult<_>>()?));
    }
    if let Ok(value) = value.cast::<PyMapping>() {
        let members = value.items()?.iter().map(|item| {
            let (name, value) = item.extract::<(String, Bound<'_, PyAny>)>()?;
            Ok((name, from_python(&value)?))
        });
        return Ok(Data::Struct(String::new(), members.collect::<PyResult<_>>()?));
    }
    Err(PyTypeError::new_err(format!("no map or global holds a {}", value.get_type().name()?)))
}
