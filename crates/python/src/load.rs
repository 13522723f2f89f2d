//! Objects of others.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ebpflab::{
    bpf::{map, user},
    error::{Error, Result},
};
use pyo3::{prelude::*, types::PyTuple};

use crate::{data, errors::to_python};

/// Name, kind, section, and where that says it is attached.
type ProgramParts = (String, &'static str, String, Option<String>);

/// An object of somebody's.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct UserObject(Mutex<Option<user::UserObject>>);

/// A map of such an object.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct UserMap(map::TypedMap);

/// Records of a buffer of such an object.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct UserEvents(Mutex<Option<user::UserEvents>>);

/// Key, value, and the values of each CPU.
type Entry<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyTuple>);

impl UserObject {
    fn lock(&self) -> MutexGuard<'_, Option<user::UserObject>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut user::UserObject) -> Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| self.lock().as_mut().ok_or(Error::Closed).and_then(call)).map_err(to_python)
    }
}

#[pymethods]
impl UserObject {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, pinned: BTreeMap<String, PathBuf>) -> PyResult<Self> {
        let object = py.detach(|| user::UserObject::open(&path, pinned)).map_err(to_python)?;
        Ok(Self(Mutex::new(Some(object))))
    }

    /// Name, kind, section and target.
    fn programs(&self, py: Python<'_>) -> PyResult<Vec<ProgramParts>> {
        self.with(py, |object| {
            let programs = object.programs().iter();
            Ok(programs.map(|(name, of)| (name.clone(), of.kind, of.section.clone(), of.target.clone())).collect())
        })
    }

    fn maps(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |object| Ok(object.maps()))
    }

    fn globals(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |object| Ok(object.globals()))
    }

    fn kernel_fields(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |object| Ok(object.kernel_fields().into_iter().collect()))
    }

    fn global_value<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let value = self.with(py, |object| object.global(name))?;
        data::to_python(py, &value)
    }

    fn set_global(&self, py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = data::from_python(value)?;
        self.with(py, |object| object.set_global(name, &value))
    }

    fn is_loaded(&self, py: Python<'_>) -> bool {
        py.detach(|| self.lock().as_ref().is_some_and(user::UserObject::is_loaded))
    }

    fn load(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, user::UserObject::load)
    }

    fn attach(&self, py: Python<'_>, program: &str, target: Option<&str>) -> PyResult<String> {
        self.with(py, |object| object.attach(program, target))
    }

    /// Id, verified instructions, runs, nanoseconds of all runs.
    fn about(&self, py: Python<'_>, program: &str) -> PyResult<(u32, Option<u32>, u64, u64)> {
        self.with(py, |object| object.about(program))
    }

    fn missed(&self, py: Python<'_>, program: &str) -> PyResult<Option<u64>> {
        self.with(py, |object| object.missed(program))
    }

    fn put(&self, py: Python<'_>, array: &str, slot: u32, program: &str) -> PyResult<()> {
        self.with(py, |object| object.put(array, slot, program))
    }

    fn pin_map(&self, py: Python<'_>, name: &str, path: PathBuf) -> PyResult<()> {
        self.with(py, |object| object.pin_map(name, &path))
    }

    fn pin_program(&self, py: Python<'_>, name: &str, path: PathBuf) -> PyResult<()> {
        self.with(py, |object| object.pin_program(name, &path))
    }

    fn map(&self, py: Python<'_>, name: &str) -> PyResult<UserMap> {
        self.with(py, |object| object.map(name)).map(UserMap)
    }

    fn events(&self, py: Python<'_>, name: &str, of: Option<&str>, size: usize) -> PyResult<UserEvents> {
        let events = self.with(py, |object| object.events(name, of, size))?;
        Ok(UserEvents(Mutex::new(Some(events))))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }
}

#[pymethods]
impl UserMap {
    fn kind(&self) -> String {
        self.0.kind()
    }

    /// The value, and that of each CPU.
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyTuple>)>> {
        let key = data::from_python(key)?;
        let found = py.detach(|| self.0.get(&key)).map_err(to_python)?;
        found.map(|found| entry(py, &found).map(|(_, value, values)| (value, values))).transpose()
    }

    fn set(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (key, value) = (data::from_python(key)?, data::from_python(value)?);
        py.detach(|| self.0.set(&key, &value)).map_err(to_python)
    }

    fn remove(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = data::from_python(key)?;
        py.detach(|| self.0.remove(&key)).map_err(to_python)
    }

    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Vec<Entry<'py>>> {
        let entries = py.detach(|| self.0.entries()).map_err(to_python)?;
        entries.iter().map(|found| entry(py, found)).collect()
    }
}

fn entry<'py>(py: Python<'py>, entry: &map::Entry) -> PyResult<Entry<'py>> {
    let values: Vec<_> = entry.values.iter().map(|value| data::to_python(py, value)).collect::<PyResult<_>>()?;
    Ok((data::to_python(py, &entry.key)?, data::to_python(py, &entry.value())?, PyTuple::new(py, values)?))
}

impl UserEvents {
    fn lock(&self) -> MutexGuard<'_, Option<user::UserEvents>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl UserEvents {
    fn fds(&self, py: Python<'_>) -> Vec<i32> {
        py.detach(|| self.lock().as_ref().map(user::UserEvents::fds).unwrap_or_default())
    }

    /// The records that there are now.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let records = py.detach(|| self.lock().as_mut().map(user::UserEvents::drain)).ok_or(Error::Closed);
        records.map_err(to_python)?.iter().map(|record| data::to_python(py, record)).collect()
    }

    fn lost(&self, py: Python<'_>) -> Option<u64> {
        py.detach(|| self.lock().as_ref().and_then(user::UserEvents::lost))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }
}
