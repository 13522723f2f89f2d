//! Events as Python objects. One that comes from the kernel keeps its record as it was written, and looks into it when
//! it is asked; one that was made in Python keeps the values it was given.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    sync::{Mutex, PoisonError},
};

use ebpflab::{
    events::{Kind, OwnedRaw},
    names::{ErrorName, FlagNames, Words},
    records::{Container, Event},
    schema::{Record as _, Schema, Text, Texts, Type},
};
use pyo3::{
    IntoPyObjectExt as _, import_exception,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyTuple, PyType},
};

import_exception!(dataclasses, FrozenInstanceError);

/// An event as an object of its class.
pub(crate) fn event(py: Python<'_>, raw: OwnedRaw) -> PyResult<Bound<'_, PyAny>> {
    let kind = raw.as_raw().kind();
    let stored = Stored::Raw(raw);
    match kind {
        Kind::Exec => Ok(Bound::new(py, ExecEvent(stored))?.into_any()),
        Kind::Exit => Ok(Bound::new(py, ExitEvent(stored))?.into_any()),
        Kind::Open => Ok(Bound::new(py, OpenEvent(stored))?.into_any()),
        Kind::Trace => Ok(Bound::new(py, TraceEvent(stored))?.into_any()),
    }
}

/// The same of one that no record is kept of: it was read from a file.
pub(crate) fn replayed<'py>(py: Python<'py>, event: &Event<'_>) -> PyResult<Bound<'py, PyAny>> {
    match event {
        Event::Exec(event) => Ok(Bound::new(py, ExecEvent::replayed(py, event)?)?.into_any()),
        Event::Exit(event) => Ok(Bound::new(py, ExitEvent::replayed(py, event)?)?.into_any()),
        Event::Open(event) => Ok(Bound::new(py, OpenEvent::replayed(py, event)?)?.into_any()),
        Event::Trace(event) => Ok(Bound::new(py, TraceEvent::replayed(py, event)?)?.into_any()),
    }
}

/// What an event is made of.
enum Stored {
    Raw(OwnedRaw),
    Values(Py<PyTuple>),
}

/// The class of a kind of events: what a frozen dataclass of its fields would be, and is where others look
/// (`dataclasses.fields`, `dataclasses.replace`). Names, types and descriptions are those of the record.
macro_rules! event_class {
    ($class:ident { $($field:ident),+ $(,)? } of $variant:path) => {
        #[pyclass(frozen, module = "ebpflab.records")]
        pub(crate) struct $class(Stored);

        impl $class {
            const FIELDS: &[&str] = &[$( stringify!($field) ),+];

            fn replayed(py: Python<'_>, event: &ebpflab::records::$class<'_>) -> PyResult<Self> {
                let values = PyTuple::new(py, [$( event.$field.to_python(py)? ),+])?;
                Ok(Self(Stored::Values(values.unbind())))
            }

            fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
                match &self.0 {
                    Stored::Values(values) => Ok(values.bind(py).clone()),
                    Stored::Raw(raw) => {
                        let $variant(event) = raw.as_raw().event() else { unreachable!("each kind has its class") };
                        PyTuple::new(py, [$( event.$field.to_python(py)? ),+])
                    }
                }
            }
        }

        #[pymethods]
        impl $class {
            #[new]
            #[expect(clippy::too_many_arguments, reason = "it has as many fields")]
            fn new(py: Python<'_>, $( $field: Bound<'_, PyAny> ),+) -> PyResult<Self> {
                Ok(Self(Stored::Values(PyTuple::new(py, [$( $field ),+])?.unbind())))
            }

            #[classattr]
            fn __doc__() -> String {
                description(&ebpflab::records::$class::SCHEMA)
            }

            #[classattr]
            fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
                PyTuple::new(py, Self::FIELDS)
            }

            #[classattr]
            fn __annotations__(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
                annotations(py, &ebpflab::records::$class::SCHEMA)
            }

            #[classattr]
            fn __dataclass_fields__(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                dataclass_fields(py, &ebpflab::records::$class::SCHEMA)
            }

            $(
                #[getter]
                fn $field<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                    match &self.0 {
                        Stored::Raw(raw) => {
                            let $variant(event) = raw.as_raw().event() else { unreachable!("each kind has its class") };
                            event.$field.to_python(py)
                        }
                        Stored::Values(values) => {
                            let position = Self::FIELDS.iter().position(|field| *field == stringify!($field));
                            values.bind(py).get_item(position.unwrap_or_default())
                        }
                    }
                }
            )+

            /// Return the fields by name.
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let fields = PyDict::new(py);
                for (name, value) in Self::FIELDS.iter().zip(self.values(py)?) {
                    fields.set_item(name, value)?;
                }
                Ok(fields)
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let told = |(name, value): (&&str, Bound<'_, PyAny>)| Ok(format!("{name}={}", value.repr()?));
                let fields: PyResult<Vec<_>> = Self::FIELDS.iter().zip(self.values(py)?).map(told).collect();
                Ok(format!("{}({})", stringify!($class), fields?.join(", ")))
            }

            fn __eq__(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<bool> {
                self.values(py)?.eq(other.get().values(py)?)
            }

            fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
                self.values(py)?.hash()
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
                Ok((py.get_type::<Self>(), self.values(py)?))
            }

            fn __setattr__(&self, name: &str, _value: &Bound<'_, PyAny>) -> PyResult<()> {
                Err(FrozenInstanceError::new_err(format!("cannot assign to field '{name}'")))
            }

            fn __delattr__(&self, name: &str) -> PyResult<()> {
                Err(FrozenInstanceError::new_err(format!("cannot delete field '{name}'")))
            }
        }
    };
}

event_class!(ExecEvent {
    time, cpu, pid, ns_pid, ppid, parent_comm, uid, gid, loginuid, comm, cgroup, cgroup_path, container, filename, exe,
    cwd, path_truncated, path_fault, path_notes, argv, argc, argv_truncated, ret, error,
} of Event::Exec);

event_class!(ExitEvent {
    time, cpu, pid, ns_pid, ppid, uid, gid, comm, cgroup, cgroup_path, container, exit_code, signal, core, duration_ns,
    exec_duration_ns, exec_time,
} of Event::Exit);

event_class!(OpenEvent {
    time, cpu, pid, tid, ns_pid, uid, gid, comm, cgroup, cgroup_path, container, path, full_path, path_truncated,
    path_fault, path_notes, dirfd, flags, flag_names, mode, ret, error, latency_ns, inode, device,
} of Event::Open);

event_class!(TraceEvent {
    time, cpu, pid, tid, ns_pid, uid, gid, comm, cgroup, cgroup_path, container, value, latency_ns, data, data_truncated,
    data_fault,
} of Event::Trace);

/// What a class is, and what its fields are, with their types.
fn description(schema: &Schema) -> String {
    let told = |text: &str| text.trim().replace("null", "None").replace("Null", "None");
    let mut all = format!("{}\n\nAttributes:\n", told(schema.doc));
    for field in schema.fields {
        all += &format!("    {} ({}): {}\n", field.name, python_type(&field.r#type), told(field.doc));
    }
    all
}

/// How a type of the records is written in Python.
pub(crate) fn python_type(of: &Type) -> String {
    match of {
        Type::Integer => "int".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Number => "float".to_owned(),
        Type::String | Type::Text => "str".to_owned(),
        Type::Object(schema) => schema.name.to_owned(),
        Type::Named(name) => (*name).to_owned(),
        Type::Any => "Any".to_owned(),
        Type::Array(inner) => format!("tuple[{}, ...]", python_type(inner)),
        Type::Nullable(inner) | Type::Optional(inner) => format!("{} | None", python_type(inner)),
        Type::Either(types) => types.iter().map(python_type).collect::<Vec<_>>().join(" | "),
    }
}

fn annotations<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyDict>> {
    let types = PyDict::new(py);
    for field in schema.fields {
        types.set_item(field.name, python_type(&field.r#type))?;
    }
    Ok(types)
}

/// What `dataclasses` knows of a class: that of one that it makes itself, and that is not used any further.
fn dataclass_fields<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyAny>> {
    let fields: Vec<_> = schema.fields.iter().map(|field| (field.name, python_type(&field.r#type))).collect();
    let options = PyDict::new(py);
    for option in ["init", "repr", "eq", "match_args"] {
        options.set_item(option, false)?;
    }
    let make = py.import("dataclasses")?.getattr("make_dataclass")?;
    make.call((schema.name, fields), Some(&options))?.getattr("__dataclass_fields__")
}

/// A value of a record, as Python has it.
pub(crate) trait ToPython {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

macro_rules! plain {
    ($($type:ty),+) => { $(
        impl ToPython for $type {
            fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                (*self).into_bound_py_any(py)
            }
        }
    )+ };
}
plain!(bool, i32, i64, u32, u64, &'static str);

impl<T: ToPython> ToPython for Option<T> {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.as_ref().map_or_else(|| Ok(py.None().into_bound(py)), |value| value.to_python(py))
    }
}

impl<T: ToPython> ToPython for &T {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        (**self).to_python(py)
    }
}

/// Becomes a str as `os.fsdecode` makes it: any bytes come back as they were.
impl ToPython for Text<'_> {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        OsStr::from_bytes(&self.0).into_bound_py_any(py)
    }
}

impl ToPython for Texts<'_> {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.iter().map(OsStr::from_bytes).collect::<Vec<_>>())?.into_any())
    }
}

impl ToPython for Words {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.iter().collect::<Vec<_>>())?.into_any())
    }
}

impl ToPython for ErrorName {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.name().map(|name| name.to_string()).into_bound_py_any(py)
    }
}

/// One tuple for each combination of flags: there are few of them, and many events.
impl ToPython for FlagNames {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static KNOWN: Mutex<BTreeMap<u64, Py<PyTuple>>> = Mutex::new(BTreeMap::new());
        /// Whoever opens files may choose them.
        const MOST: usize = 1_024;
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = known().get(&self.0) {
            return Ok(names.bind(py).clone().into_any());
        }
        // Not while it is locked: making an object may run anything.
        let names = PyTuple::new(py, self.names().collect::<Vec<_>>())?;
        let mut known = known();
        if known.len() < MOST {
            known.insert(self.0, names.clone().unbind());
        }
        Ok(names.into_any())
    }
}

impl ToPython for Container {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let Self { id, runtime, name } = self;
        CLASS.import(py, "ebpflab.records", "Container")?.call1((id, runtime, name))
    }
}
