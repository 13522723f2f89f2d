//! Events as Arrow record batches, by the PyCapsule interface.

use std::{
    ffi::CStr,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arrow_array::{
    Array as _, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray,
    ffi::{FFI_ArrowSchema, to_ffi},
    ffi_stream::FFI_ArrowArrayStream,
};
use ebpflab::{
    columns::{Columns, MOST_ROWS, metadata},
    error::Result,
    recording::{self, Feed},
};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyCapsule, PyTuple},
};

use crate::{SLICE, Session, errors::to_python, recordings::Replay};

/// Longest time that a batch is filled before signals are looked at.
const TURN: Duration = Duration::from_millis(100);
/// The names that the PyCapsule interface asks for.
const ARRAY: &CStr = c"arrow_array";
const SCHEMA: &CStr = c"arrow_schema";
const STREAM: &CStr = c"arrow_array_stream";

/// Rows of a table, in the memory that Rust wrote them to.
#[pyclass(frozen, module = "ebpflab._ebpflab", name = "RecordBatch")]
pub(crate) struct Batch(RecordBatch);

#[pymethods]
impl Batch {
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        format!("<ebpflab RecordBatch of {} rows, {} columns>", self.0.num_rows(), self.0.num_columns())
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(self.capsules(py)?.0)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        // A consumer may wish for other types, and has to take what there is.
        drop(requested_schema);
        let (schema, array) = self.capsules(py)?;
        PyTuple::new(py, [schema, array])
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let schema = self.0.schema();
        stream(py, Box::new(RecordBatchIterator::new([Ok(self.0.clone())], schema)))
    }
}

impl Batch {
    fn capsules<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let (array, _) = to_ffi(&StructArray::from(self.0.clone()).to_data()).map_err(arrow)?;
        // With the metadata, which the struct has not.
        let schema = FFI_ArrowSchema::try_from(self.0.schema().as_ref()).map_err(arrow)?;
        Ok((PyCapsule::new_with_value(py, schema, SCHEMA)?, PyCapsule::new_with_value(py, array, ARRAY)?))
    }
}

fn stream(py: Python<'_>, reader: Box<dyn RecordBatchReader + Send>) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}

/// What is exported is made of types that Arrow has.
fn arrow(error: arrow_schema::ArrowError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// A recording as a table, for those who take Arrow streams.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct Table(PathBuf);

#[pymethods]
impl Table {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| recording::Table::open(&path)).map_err(to_python)?;
        Ok(Self(path))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let recording::Table { schema, batches, .. } =
            py.detach(|| recording::Table::open(&self.0)).map_err(to_python)?;
        let batches = batches.map(|batch| batch.map_err(|error| arrow_schema::ArrowError::ExternalError(error.into())));
        stream(py, Box::new(RecordBatchIterator::new(batches, schema)))
    }
}

/// Where events are from.
#[derive(FromPyObject)]
pub(crate) enum Source {
    Session(Py<Session>),
    Replay(Py<Replay>),
}

impl Source {
    pub(crate) fn feed(&self) -> &dyn Feed {
        match self {
            Self::Session(session) => &session.get().0,
            Self::Replay(replay) => &replay.get().0,
        }
    }
}

/// Makes batches of the events of a session.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct Batcher {
    source: Source,
    rows: usize,
    /// Rows that are not handed on yet, also those of a call that was interrupted.
    state: Mutex<State>,
}

struct State {
    columns: Columns,
    first: Option<Instant>,
}

#[pymethods]
impl Batcher {
    #[new]
    fn new(source: Source, rows: usize) -> PyResult<Self> {
        if rows > MOST_ROWS {
            return Err(PyValueError::new_err(format!("a batch has at most {MOST_ROWS} rows, not {rows}")));
        }
        let columns = Columns::new(&source.feed().kinds(), metadata());
        Ok(Self { source, rows, state: Mutex::new(State { columns, first: None }) })
    }

    /// The next batch, once it is full or its first event has waited that long; None when the session has been
    /// stopped and no event is left.
    fn next(&self, py: Python<'_>, seconds: f64) -> PyResult<Option<Batch>> {
        let longest = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        loop {
            // Looked at before the events: a stop takes the last of them out of the buffer first.
            let stopped = self.source.feed().is_stopped();
            let batch = py.detach(|| self.step(longest, stopped)).map_err(to_python)?;
            py.check_signals()?;
            if batch.is_some() || stopped {
                return Ok(batch.map(Batch));
            }
        }
    }
}

impl Batcher {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what waits, and gives a batch if it is time; else waits for more, a slice at most.
    fn step(&self, longest: Duration, stopped: bool) -> Result<Option<RecordBatch>> {
        let begun = Instant::now();
        let mut state = self.lock();
        let State { columns, first } = &mut *state;
        while columns.len() < self.rows && begun.elapsed() < TURN {
            let most = (self.rows - columns.len()) as u64;
            if self.source.feed().take(most, &mut |event| columns.append(event))? == 0 {
                break;
            }
            first.get_or_insert_with(Instant::now);
        }
        let left = first.map_or(SLICE, |first| longest.saturating_sub(first.elapsed()));
        if columns.len() == self.rows || (!columns.is_empty() && (left.is_zero() || stopped)) {
            *first = None;
            return Ok(Some(columns.finish()));
        }
        drop(state);
        if !stopped {
            self.source.feed().wait(left.min(SLICE));
        }
        Ok(None)
    }
}

impl Drop for Batcher {
    /// What is left was never shown.
    fn drop(&mut self) {
        let left = self.lock().columns.rows();
        self.source.feed().unshow(left);
    }
}
