//! Recordings that are made, and that are read.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ebpflab::{
    error::Error,
    recording::{self, Found, Keep, Next, Over, Rotation},
    schema::Record as _,
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{SLICE, columns::Source, convert, errors::to_python, events};

/// A recording that is made of the events of a session.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct Recorder {
    source: Source,
    /// Gone once it is finished.
    recorder: Mutex<Option<recording::Recorder>>,
}

#[pymethods]
impl Recorder {
    #[new]
    fn new(
        py: Python<'_>,
        source: Source,
        path: PathBuf,
        command: Vec<String>,
        overwrite: bool,
        rotate: Option<(Option<u64>, Option<f64>)>,
    ) -> PyResult<Self> {
        let over = match rotate {
            Some((bytes, seconds)) => {
                // An age that the clock cannot say is never reached.
                let age = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                Over::Rotation(Rotation { bytes, age })
            }
            None if overwrite => Over::Old,
            None => Over::Nothing,
        };
        let recorder = py.detach(|| recording::Recorder::create(&path, source.feed(), command, over));
        Ok(Self { source, recorder: Mutex::new(Some(recorder.map_err(to_python)?)) })
    }

    /// Records for so many seconds, or so many events, or until the session is stopped and none is left.
    fn run(&self, py: Python<'_>, duration: Option<f64>, limit: u64) -> PyResult<()> {
        let deadline = convert::deadline(duration)?;
        let feed = self.source.feed();
        let mut left = limit;
        while left > 0 {
            // Looked at before the events: a stop takes the last of them out of the buffer first.
            let stopped = feed.is_stopped();
            let taken = py.detach(|| self.step(deadline, left)).map_err(to_python)?;
            py.check_signals()?;
            left -= taken;
            if taken == 0 && stopped {
                break;
            }
            if !stopped && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                py.detach(|| feed.stop()).map_err(to_python)?;
            }
        }
        Ok(())
    }

    /// Ends session and recording; returns how many events there are.
    fn finish(&self, py: Python<'_>) -> PyResult<u64> {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(Error::Closed);
        let recorder = recorder.map_err(to_python)?;
        let finished = py.detach(|| recorder.finish(self.source.feed()));
        finished.map_err(to_python)
    }
}

impl Recorder {
    /// Takes what waits; waits for more where nothing does, a slice at most.
    fn step(&self, deadline: Option<Instant>, most: u64) -> ebpflab::error::Result<u64> {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = recorder.as_mut().ok_or(Error::Closed)?;
        let feed = self.source.feed();
        let taken = recorder.take(feed, most)?;
        if taken == 0 && !feed.is_stopped() {
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
            feed.wait(left.min(SLICE).min(recorder.due()));
        }
        Ok(taken)
    }
}

/// The filter, from a dict with all its fields.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Asked {
    pid: Option<u32>,
    tid: Option<u32>,
    uid: Option<u32>,
    comm: Option<Vec<u8>>,
    cgroup: Option<Vec<u8>>,
    container: Option<String>,
    path_prefix: Option<Vec<u8>>,
    failed: bool,
}

impl From<Asked> for Keep {
    fn from(Asked { pid, tid, uid, comm, cgroup, container, path_prefix, failed }: Asked) -> Self {
        Self { pid, tid, uid, comm, cgroup, container, path_prefix, failed }
    }
}

/// A recording whose events happen again; its methods are those of [`Session`].
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct Replay(pub(crate) recording::Replay);

#[pymethods]
impl Replay {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, keep: Asked, speed: Option<f64>) -> PyResult<Self> {
        py.detach(|| recording::Replay::open(&path, keep.into(), speed)).map(Self).map_err(to_python)
    }

    fn recording_json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.recording().as_bytes())
    }

    fn recorded_json<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.recorded().map(|recorded| PyBytes::new(py, recorded.as_bytes()))
    }

    fn attached_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.attached_json().map_err(to_python)?))
    }

    #[getter]
    fn stopped(&self) -> bool {
        self.0.is_stopped()
    }

    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.wait_until(py, convert::deadline(timeout)?)
    }

    /// Seconds until the next event is due.
    fn due(&self) -> f64 {
        self.0.due().as_secs_f64()
    }

    /// The events that are due now.
    fn read_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = PyList::empty(py);
        while let Next::Event(event) = self.0.next(|event| events::replayed(py, event)).map_err(to_python)? {
            events.append(event?)?;
        }
        Ok(events)
    }

    /// Events as they come, for that many seconds and at most `limit` of them.
    #[pyo3(signature = (timeout, limit))]
    fn events(slf: Py<Self>, timeout: Option<f64>, limit: u64) -> PyResult<ReplayEvents> {
        Ok(ReplayEvents { replay: slf, deadline: convert::deadline(timeout)?, left: AtomicU64::new(limit) })
    }

    /// The next event if it is due, else None.
    fn next_waiting<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.0.next(|event| events::replayed(py, event)).map_err(to_python)? {
            Next::Event(event) => event.map(Some),
            Next::Later | Next::End => Ok(None),
        }
    }

    /// Lines of JSON for the events that are due, at most `most` and not too many at once.
    fn next_json<'py>(&self, py: Python<'py>, most: u64) -> PyResult<Bound<'py, PyBytes>> {
        let mut lines = Vec::new();
        py.detach(|| self.0.take(most, &mut |event| event.write_json_line(&mut lines))).map_err(to_python)?;
        Ok(PyBytes::new(py, &lines))
    }

    fn ledger<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::ledger(py, &self.0.ledger())
    }

    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::summary(py, &self.0.stop())
    }

    fn stop_json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.stop().to_json_line())
    }

    fn close(&self) {
        self.0.stop();
    }
}

impl Replay {
    fn wait_until(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<bool> {
        loop {
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
            let ready = py.detach(|| self.0.wait(left.min(SLICE)));
            py.check_signals()?;
            if ready || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(ready);
            }
        }
    }
}

/// An iterator over the events of a replay: it waits for them, and ends with its time, its number or the replay.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
pub(crate) struct ReplayEvents {
    replay: Py<Replay>,
    deadline: Option<Instant>,
    left: AtomicU64,
}

#[pymethods]
impl ReplayEvents {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Ok(None);
        }
        loop {
            py.check_signals()?;
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            let replay = self.replay.get();
            match replay.0.next(|event| events::replayed(py, event)).map_err(to_python)? {
                Next::Event(event) => return event.map(Some),
                Next::Later => replay.wait_until(py, self.deadline)?,
                Next::End => return Ok(None),
            };
        }
    }
}

/// Ends a recording that was not ended; None if it was, else how many events it has.
#[pyfunction]
pub(crate) fn recover(py: Python<'_>, path: PathBuf) -> PyResult<Option<u64>> {
    match py.detach(|| recording::recover(&path)).map_err(to_python)? {
        Found::Whole => Ok(None),
        Found::Recovered(rows) => Ok(Some(rows)),
    }
}
