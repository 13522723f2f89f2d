//! `ebpflab._ebpflab`: converts between the loader and Python, and nothing else. The stubs are
//! python/ebpflab/_ebpflab.pyi.

mod columns;
mod convert;
mod data;
mod errors;
mod events;
mod load;
mod recordings;

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ebpflab::{
    bpf,
    btf::Layout,
    doctor,
    error::Error,
    events::OwnedRaw,
    flame,
    hooks::Kind,
    inspect,
    records::{self, SCHEMAS},
    rules::{self, Lists, Rules},
    schema::Record,
    session,
    targets::{self, Spec},
    tools::{
        By, EventOptions, Only, Returned, TimeOptions, calls, cgroup, count, dashboard, exec, flows, latency, open,
        returns, runqueue, stacks, syscalls, trace, traffic, xdp,
    },
    verifier::{self, zoo},
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::errors::to_python;

/// Longest time between two looks at Python's signals. A signal ends a wait by itself: this is for one that comes
/// between the look and the wait.
const SLICE: Duration = Duration::from_secs(1);
/// Most events between two looks at them.
const BETWEEN_SIGNALS: u64 = 256;

/// A running tool.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
struct Session(session::Session);

#[pymethods]
impl Session {
    fn attached<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::attached(py, self.0.attached())
    }

    fn attached_json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.attached().to_json_line())
    }

    fn fileno(&self) -> i32 {
        self.0.fd()
    }

    #[getter]
    fn stopped(&self) -> bool {
        self.0.is_stopped()
    }

    /// The one door for blocking: detached from the interpreter, in slices, with a look at signals after each.
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.wait_until(py, convert::deadline(timeout)?)
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyAny>, Bound<'py, PyDict>)> {
        let mut reading = py.detach(|| self.0.read()).map_err(to_python)?;
        let more = reading.take_more();
        let more = convert::more(py, &more.firewall, &more.sources, &more.capture)?;
        Ok((reading.time(), convert::counts(py, &reading)?, more))
    }

    fn replace_rules(&self, py: Python<'_>, lists: RuleLists) -> PyResult<()> {
        py.detach(|| self.0.replace(Rules::read(&lists.into())?)).map_err(to_python)
    }

    fn give_up_capabilities(&self, kept: Vec<String>) -> PyResult<()> {
        let kept: Vec<_> = kept.iter().map(String::as_str).collect();
        self.0.give_up_capabilities(&kept).map_err(to_python)
    }

    fn warnings(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.0.warnings())
    }

    fn read_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let line = py.detach(|| self.0.read().map(|reading| reading.to_json_line())).map_err(to_python)?;
        Ok(PyBytes::new(py, &line))
    }

    /// The next event if one waits, else None.
    fn next_waiting<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.next(py).map(|raw| events::event(py, raw)).transpose()
    }

    /// The events that there are now.
    fn read_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut raws = Vec::new();
        py.detach(|| self.0.take_all(|raw| raws.push(raw.to_owned())));
        let events: Vec<_> = raws.into_iter().map(|raw| events::event(py, raw)).collect::<PyResult<_>>()?;
        PyList::new(py, events)
    }

    /// Events as they come, for that many seconds and at most `limit` of them.
    #[pyo3(signature = (timeout, limit))]
    fn events(slf: Py<Self>, timeout: Option<f64>, limit: u64) -> PyResult<Events> {
        Ok(Events { session: slf, deadline: convert::deadline(timeout)?, left: AtomicU64::new(limit) })
    }

    /// Whether events wait or the session was stopped, and so its file descriptor is readable now, however often it was
    /// asked before.
    fn is_readable(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.is_readable())
    }

    /// Lines of JSON for the events that wait, at most `most` and not too many at once.
    fn next_json<'py>(&self, py: Python<'py>, most: u64) -> Bound<'py, PyBytes> {
        let lines = py.detach(|| self.0.next_json(most));
        PyBytes::new(py, &lines)
    }

    fn ledger<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ledger = py.detach(|| self.0.ledger()).map_err(to_python)?;
        convert::ledger(py, &ledger)
    }

    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let summary = self.summary(py)?;
        convert::summary(py, &summary)
    }

    fn stop_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.summary(py)?.to_json_line()))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.close()).map_err(to_python)
    }
}

impl Session {
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

    /// Leaves the interpreter only where another thread is at work on the session.
    fn next(&self, py: Python<'_>) -> Option<OwnedRaw> {
        self.0.try_next().unwrap_or_else(|| py.detach(|| self.0.next()))
    }

    fn summary(&self, py: Python<'_>) -> PyResult<records::Summary> {
        py.detach(|| self.0.stop()).map_err(to_python)
    }
}

/// An iterator over events: it waits for them, and ends with its time, its number or the session.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
struct Events {
    session: Py<Session>,
    deadline: Option<Instant>,
    left: AtomicU64,
}

#[pymethods]
impl Events {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let session = self.session.get();
        let Ok(left) = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) else {
            return Ok(None);
        };
        if left % BETWEEN_SIGNALS == 0 {
            // Where something is always there to be had nothing else looks.
            py.check_signals()?;
        }
        loop {
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            // Looked at before the events: a stop takes the last of them out of the buffer first.
            let stopped = session.0.is_stopped();
            match session.next(py) {
                Some(raw) => return events::event(py, raw).map(Some),
                None if stopped => return Ok(None),
                None => session.wait_until(py, self.deadline)?,
            };
        }
    }
}

/// Rules, from a dict with all its fields.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct RuleLists {
    block: Vec<String>,
    block_file: Option<PathBuf>,
    allow: Vec<String>,
}

impl From<RuleLists> for Lists {
    fn from(RuleLists { block, block_file, allow }: RuleLists) -> Self {
        Self { block, block_file, allow }
    }
}

/// A packet file, from a dict with all its fields.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Capture {
    path: PathBuf,
    every: Option<u32>,
    snap_len: Option<u32>,
}

impl From<Capture> for xdp::CaptureOptions {
    fn from(Capture { path, every, snap_len }: Capture) -> Self {
        Self { path, every, snap_len }
    }
}

#[pyfunction]
fn attach_xdp(
    py: Python<'_>,
    iface: OsString,
    mode: &str,
    rules: Option<RuleLists>,
    max_rules: Option<u32>,
    top: Option<u32>,
    capture: Option<Capture>,
) -> PyResult<Session> {
    let options = xdp::Options { rules: rules.map(Into::into), max_rules, top, capture: capture.map(Into::into) };
    py.detach(|| xdp::attach(&iface, mode, &options)).map(Session).map_err(to_python)
}

/// Attaches, and leaves it there.
#[pyfunction]
fn pin_xdp<'py>(
    py: Python<'py>,
    iface: OsString,
    mode: &str,
    rules: Option<RuleLists>,
    max_rules: Option<u32>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = xdp::Options { rules: rules.map(Into::into), max_rules, ..xdp::Options::default() };
    let pinned = py.detach(|| xdp::pin(&iface, mode, &options)).map_err(to_python)?;
    convert::pinned(py, &pinned)
}

/// What is pinned, on one interface or on all.
#[pyfunction]
fn pinned_xdp(py: Python<'_>, iface: Option<OsString>) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(|| xdp::pinned(iface.as_deref())), convert::pinned)
}

/// Takes it away, and returns what it was.
#[pyfunction]
fn unpin_xdp(py: Python<'_>, iface: Option<OsString>) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(|| xdp::unpin(iface.as_deref())), convert::pinned)
}

/// A range of addresses as rules write it; a ValueError says what is wrong with the text.
#[pyfunction]
fn check_cidr(text: &str) -> PyResult<String> {
    rules::parse(text).map(|cidr| cidr.to_string()).map_err(PyValueError::new_err)
}

/// A program that is run on packets, attached to nothing: ours with rules, or one of any object.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
struct PacketProgram {
    name: String,
    state: Mutex<(bpf::Object, Option<Box<dyn session::Counter>>)>,
}

#[pymethods]
impl PacketProgram {
    /// That of `ebpflab xdp`.
    #[staticmethod]
    fn xdp(py: Python<'_>, rules: Option<RuleLists>, max_rules: Option<u32>, top: Option<u32>) -> PyResult<Self> {
        let options = xdp::Options { rules: rules.map(Into::into), max_rules, top, capture: None };
        let (object, counter) = py.detach(|| xdp::open_for_test(&options)).map_err(to_python)?;
        Ok(Self { name: xdp::PROGRAM.to_owned(), state: Mutex::new((object, Some(counter))) })
    }

    /// One of an object, for `xdp` or `tc`; its only one unless it is named.
    #[staticmethod]
    fn open(py: Python<'_>, elf: &[u8], kind: &str, name: Option<String>) -> PyResult<Self> {
        let kind = match kind {
            "xdp" => bpf::PacketProgram::Xdp,
            "tc" => bpf::PacketProgram::Classifier,
            other => return Err(PyValueError::new_err(format!("there are programs for xdp and tc, not for {other}"))),
        };
        let (object, name) = py.detach(|| bpf::open_packet_program(elf, kind, name)).map_err(to_python)?;
        Ok(Self { name, state: Mutex::new((object, None)) })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// What it returned, the packet as it left it, nanoseconds for a run.
    fn run<'py>(&self, py: Python<'py>, packet: &[u8], repeat: u32) -> PyResult<(u32, Bound<'py, PyBytes>, u64)> {
        let run = || self.lock().0.test_run(&self.name, packet, repeat);
        let run = py.detach(run).map_err(to_python)?;
        Ok((run.value, PyBytes::new(py, &run.packet), run.duration.as_nanos() as u64))
    }

    /// What ours counted, as a session's `read` gives it.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyAny>, Bound<'py, PyDict>)> {
        let mut reading = py.detach(|| {
            let (object, counter) = &mut *self.lock();
            counter.as_mut().ok_or(Error::Closed)?.read(object)
        });
        let reading = reading.as_mut().map_err(|_| PyValueError::new_err("only ebpflab's own program counts"))?;
        let more = reading.take_more();
        let more = convert::more(py, &more.firewall, &more.sources, &more.capture)?;
        Ok((reading.time(), convert::counts(py, reading)?, more))
    }

    /// Puts other rules in force.
    fn replace_rules(&self, py: Python<'_>, lists: RuleLists) -> PyResult<()> {
        let replace = || {
            let rules = Rules::read(&lists.into())?;
            let (object, counter) = &mut *self.lock();
            counter.as_mut().ok_or(Error::Closed)?.replace(object, rules)
        };
        py.detach(replace).map_err(to_python)
    }
}

impl PacketProgram {
    /// A panic elsewhere leaves nothing half done: each step stands alone.
    fn lock(&self) -> MutexGuard<'_, (bpf::Object, Option<Box<dyn session::Counter>>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter, from a dict with all its fields.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Filter {
    pid: Option<u32>,
    tid: Option<u32>,
    uid: Option<u32>,
    comm: Option<Vec<u8>>,
    not_pid: Option<u32>,
    failed: bool,
    tree: Option<u32>,
    cgroup: Option<PathBuf>,
    container: Option<String>,
    path_prefix: Option<Vec<u8>>,
}

impl From<Filter> for Only {
    fn from(Filter { pid, tid, uid, comm, not_pid, failed, tree, cgroup, container, path_prefix }: Filter) -> Self {
        Self { pid, tid, uid, comm, not_pid, failed, tree, cgroup, container, path_prefix }
    }
}

fn parse_hook(hook: Option<&str>) -> PyResult<Option<Kind>> {
    hook.map(str::parse).transpose().map_err(to_python)
}

/// Rules are texts; the first that is none is an error.
fn parse_rules(rules: &[String]) -> PyResult<Vec<cgroup::Deny>> {
    rules.iter().map(|rule| rule.parse()).collect::<Result<_, _>>().map_err(to_python)
}

/// Whether texts are rules for `attach_cgroup`: raises ValueError for the first that is none.
#[pyfunction]
fn check_rules(rules: Vec<String>) -> PyResult<()> {
    parse_rules(&rules).map(drop)
}

fn parse_targets(targets: &[String]) -> PyResult<Vec<Spec>> {
    targets.iter().map(|target| target.parse()).collect::<Result<_, _>>().map_err(to_python)
}

/// Whether texts are targets: raises ValueError for the first that is none.
#[pyfunction]
fn check_targets(targets: Vec<String>) -> PyResult<()> {
    parse_targets(&targets).map(drop)
}

/// Targets that begin so, for the completion of a shell.
#[pyfunction]
fn complete_target(text: &str) -> Vec<String> {
    targets::complete(text)
}

#[pyfunction]
fn attach_calls(
    py: Python<'_>,
    targets: Vec<String>,
    only: Filter,
    by: Vec<String>,
    max_entries: Option<u32>,
) -> PyResult<Session> {
    let (targets, by) = (parse_targets(&targets)?, parse_by(&by)?);
    let options = calls::Options { targets, only: only.into(), by, max_entries };
    py.detach(|| calls::attach(&options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_stacks(
    py: Python<'_>,
    targets: Vec<String>,
    sample_hz: Option<u32>,
    only: Filter,
    by: Vec<String>,
    max_entries: Option<u32>,
) -> PyResult<Session> {
    let (targets, by) = (parse_targets(&targets)?, parse_by(&by)?);
    let options = stacks::Options { targets, sample_hz, only: only.into(), by, max_entries };
    py.detach(|| stacks::attach(&options)).map(Session).map_err(to_python)
}

/// Draws stacks: lines with the functions of each, from the outermost on, and how often it was seen.
#[pyfunction]
fn flame_graph(py: Python<'_>, lines: &str, title: &str, unit: &str) -> PyResult<String> {
    let svg = py.detach(|| flame::svg(lines, title, unit)).map_err(to_python)?;
    Ok(String::from_utf8(svg)?)
}

#[pyfunction]
fn attach_cgroup(py: Python<'_>, cgroup: PathBuf, deny: Vec<String>, max_entries: Option<u32>) -> PyResult<Session> {
    let options = cgroup::Options { deny: parse_rules(&deny)?, max_entries };
    py.detach(|| cgroup::attach(&cgroup, &options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_count(py: Python<'_>, only: Filter, hook: Option<&str>, max_entries: Option<u32>) -> PyResult<Session> {
    let options = count::Options { only: only.into(), hook: parse_hook(hook)?, max_entries };
    py.detach(|| count::attach(&options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_dashboard(py: Python<'_>, only: Filter, hook: Option<&str>, buffer: Option<u64>) -> PyResult<Session> {
    let options = EventOptions { only: only.into(), hook: parse_hook(hook)?, buffer };
    py.detach(|| dashboard::attach(&options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_exec(
    py: Python<'_>,
    only: Filter,
    hook: Option<&str>,
    buffer: Option<u64>,
    exits: bool,
) -> PyResult<Session> {
    let events = EventOptions { only: only.into(), hook: parse_hook(hook)?, buffer };
    let options = exec::Options { events, exits };
    py.detach(|| exec::attach(&options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_flows(py: Python<'_>, iface: OsString, hook: Option<&str>, max_entries: Option<u32>) -> PyResult<Session> {
    let options = flows::Options { hook: parse_hook(hook)?, max_entries };
    py.detach(|| flows::attach(&iface, &options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_latency(
    py: Python<'_>,
    target: &str,
    only: Filter,
    by: Vec<String>,
    step_ns: Option<u64>,
    slower_ns: Option<u64>,
    max_entries: Option<u32>,
) -> PyResult<Session> {
    let target: Spec = target.parse().map_err(to_python)?;
    let options = TimeOptions { only: only.into(), by: parse_by(&by)?, step_ns, slower_ns, max_entries };
    py.detach(|| latency::attach(&target, &options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_open(py: Python<'_>, only: Filter, hook: Option<&str>, buffer: Option<u64>) -> PyResult<Session> {
    let options = EventOptions { only: only.into(), hook: parse_hook(hook)?, buffer };
    py.detach(|| open::attach(&options)).map(Session).map_err(to_python)
}

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "each is an option of the tool")]
fn attach_returns(
    py: Python<'_>,
    target: &str,
    only: Filter,
    by: Vec<String>,
    step: Option<u64>,
    bits: Option<u32>,
    unsigned: bool,
    max_entries: Option<u32>,
) -> PyResult<Session> {
    let target: Spec = target.parse().map_err(to_python)?;
    let returned = Returned { bits, unsigned };
    let options = returns::Options { only: only.into(), by: parse_by(&by)?, step, returned, max_entries };
    py.detach(|| returns::attach(&target, &options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_runqueue(
    py: Python<'_>,
    only: Filter,
    by: Vec<String>,
    step_ns: Option<u64>,
    slower_ns: Option<u64>,
    max_entries: Option<u32>,
) -> PyResult<Session> {
    let options = TimeOptions { only: only.into(), by: parse_by(&by)?, step_ns, slower_ns, max_entries };
    py.detach(|| runqueue::attach(&options)).map(Session).map_err(to_python)
}

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "each is an option of the tool")]
fn attach_trace(
    py: Python<'_>,
    target: &str,
    only: Filter,
    string: Option<&str>,
    payload: Option<&str>,
    bits: Option<u32>,
    unsigned: bool,
    buffer: Option<u64>,
) -> PyResult<Session> {
    let target: Spec = target.parse().map_err(to_python)?;
    let place = |name: Option<&str>| name.map(str::parse).transpose().map_err(to_python);
    let read = trace::Read { string: place(string)?, payload: place(payload)? };
    let options = trace::Options { only: only.into(), read, returned: Returned { bits, unsigned }, buffer };
    py.detach(|| trace::attach(&target, &options)).map(Session).map_err(to_python)
}

#[pyfunction]
fn attach_traffic(py: Python<'_>, iface: OsString, hook: Option<&str>, max_entries: Option<u32>) -> PyResult<Session> {
    let options = traffic::Options { hook: parse_hook(hook)?, max_entries };
    py.detach(|| traffic::attach(&iface, &options)).map(Session).map_err(to_python)
}

fn parse_by(by: &[String]) -> PyResult<Vec<By>> {
    by.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(to_python)
}

#[pyfunction]
fn attach_syscalls(py: Python<'_>, only: Filter, by: Vec<String>, max_entries: Option<u32>) -> PyResult<Session> {
    let options = syscalls::Options { only: only.into(), by: parse_by(&by)?, max_entries };
    py.detach(|| syscalls::attach(&options)).map(Session).map_err(to_python)
}

/// As long as it is open the kernel measures the runs of programs.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
struct Stats(Mutex<Option<inspect::Stats>>);

#[pymethods]
impl Stats {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        py.detach(inspect::Stats::start).map(|stats| Self(Mutex::new(Some(stats)))).map_err(to_python)
    }

    fn programs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list(py, py.detach(|| self.measured()), convert::program)
    }

    fn programs_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, py.detach(|| self.measured()))
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Stats {
    fn measured(&self) -> Result<Vec<records::Program>, Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().ok_or(Error::Closed)?.programs()
    }
}

/// As long as it is open the kernel measures the runs of programs; what ours cost.
#[pyclass(frozen, module = "ebpflab._ebpflab")]
struct Costs(Mutex<Option<inspect::Measured>>);

#[pymethods]
impl Costs {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        py.detach(inspect::Measured::start).map(|measured| Self(Mutex::new(Some(measured)))).map_err(to_python)
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list(py, py.detach(|| self.costs()), convert::cost)
    }

    fn read_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, py.detach(|| self.costs()))
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Costs {
    fn costs(&self) -> Result<Vec<records::Cost>, Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().ok_or(Error::Closed)?.costs()
    }
}

/// Records as plain values.
fn list<'py, T>(
    py: Python<'py>,
    records: Result<Vec<T>, Error>,
    convert: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyList>> {
    let records = records.map_err(to_python)?;
    let records: Vec<_> = records.iter().map(|record| convert(py, record)).collect::<PyResult<_>>()?;
    PyList::new(py, records)
}

/// Records as lines of JSON.
fn json<T: Record>(py: Python<'_>, records: Result<Vec<T>, Error>) -> PyResult<Bound<'_, PyBytes>> {
    let mut lines = Vec::new();
    records.map_err(to_python)?.iter().for_each(|record| record.write_json_line(&mut lines));
    Ok(PyBytes::new(py, &lines))
}

/// The programs that are loaded.
#[pyfunction]
fn programs(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(inspect::programs), convert::program)
}

/// The same as lines of JSON.
#[pyfunction]
fn programs_json(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    json(py, py.detach(inspect::programs))
}

/// The maps that are there.
#[pyfunction]
fn maps(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(inspect::maps), convert::map)
}

/// The same as lines of JSON.
#[pyfunction]
fn maps_json(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    json(py, py.detach(inspect::maps))
}

/// What is in a map.
#[pyfunction]
fn map_entries(py: Python<'_>, number: u32, per_cpu: bool) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(|| inspect::entries(number, per_cpu)), convert::map_entry)
}

/// The same as lines of JSON.
#[pyfunction]
fn map_entries_json(py: Python<'_>, number: u32, per_cpu: bool) -> PyResult<Bound<'_, PyBytes>> {
    json(py, py.detach(|| inspect::entries(number, per_cpu)))
}

/// The tracepoints that match.
#[pyfunction]
fn tracepoints(py: Python<'_>, pattern: Option<String>) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(|| inspect::tracepoints(pattern.as_deref())), convert::tracepoint)
}

/// The same as lines of JSON.
#[pyfunction]
fn tracepoints_json(py: Python<'_>, pattern: Option<String>) -> PyResult<Bound<'_, PyBytes>> {
    json(py, py.detach(|| inspect::tracepoints(pattern.as_deref())))
}

/// A type of the kernel.
#[pyfunction]
fn btf_type(py: Python<'_>, name: String) -> PyResult<Bound<'_, PyDict>> {
    let found = py.detach(|| inspect::kernel_type(&name)).map_err(to_python)?;
    convert::btf_type(py, &found)
}

/// The same as a line of JSON.
#[pyfunction]
fn btf_type_json(py: Python<'_>, name: String) -> PyResult<Bound<'_, PyBytes>> {
    let found = py.detach(|| inspect::kernel_type(&name)).map_err(to_python)?;
    Ok(PyBytes::new(py, &found.to_json_line()))
}

/// The same in C, or as classes of ctypes.
#[pyfunction]
fn btf_layout(py: Python<'_>, name: String, python: bool) -> PyResult<String> {
    let layout = if python { Layout::Python } else { Layout::C };
    py.detach(|| inspect::kernel_layout(&name, layout)).map_err(to_python)
}

/// The links that are there.
#[pyfunction]
fn links(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    list(py, py.detach(inspect::links), convert::link)
}

/// The same as lines of JSON.
#[pyfunction]
fn links_json(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    json(py, py.detach(inspect::links))
}

/// What works on this kernel and machine.
#[pyfunction]
fn features(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    list(py, Ok(py.detach(doctor::features)), convert::feature)
}

/// The same as lines of JSON.
#[pyfunction]
fn features_json(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    json(py, Ok(py.detach(doctor::features)))
}

/// What a tool will do here.
#[pyfunction]
fn verdict<'py>(py: Python<'py>, tool: &str) -> PyResult<Bound<'py, PyDict>> {
    let verdict = py.detach(|| doctor::verdict(tool)).map_err(to_python)?;
    convert::verdict(py, &verdict)
}

/// The same as a line of JSON.
#[pyfunction]
fn verdict_json<'py>(py: Python<'py>, tool: &str) -> PyResult<Bound<'py, PyBytes>> {
    let verdict = py.detach(|| doctor::verdict(tool)).map_err(to_python)?;
    Ok(PyBytes::new(py, &verdict.to_json_line()))
}

/// The name of each program of an object, and how many instructions the verifier went through.
#[pyfunction]
fn verify(py: Python<'_>, elf: &[u8]) -> PyResult<Vec<(String, Option<u32>)>> {
    py.detach(|| bpf::verify(elf)).map_err(to_python)
}

/// A log explained, as a line of JSON; with the lines of the object that was loaded, if it is given.
#[pyfunction]
fn explain<'py>(
    py: Python<'py>,
    log: &str,
    elf: Option<&[u8]>,
    program: Option<String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let explained = py.detach(|| match elf {
        Some(elf) => verifier::explain_with(log, elf, program),
        None => Ok(verifier::explain(log)),
    });
    Ok(PyBytes::new(py, &explained.map_err(to_python)?.to_json_line()))
}

/// The programs of the zoo, as lines of JSON.
#[pyfunction]
fn zoo_json(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    json(py, Ok(zoo::specimens()))
}

/// What this kernel makes of one of them or of all, as lines of JSON.
#[pyfunction]
fn zoo_trials_json<'py>(py: Python<'py>, name: Option<&str>) -> PyResult<Bound<'py, PyBytes>> {
    json(py, py.detach(|| zoo::load(name)))
}

/// The kinds of refusals, for the documentation: id, title, cause, messages, meaning, fix, example.
#[pyfunction]
fn verifier_kinds(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    list(py, Ok(verifier::KINDS.iter().collect()), |py, kind: &&verifier::Kind| convert::kind(py, kind))
}

/// The descriptions of all records: what the documentation is made from and the Python classes are checked against.
#[pyfunction]
fn schemas(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let schemas: Vec<_> = SCHEMAS.iter().map(|schema| convert::schema(py, schema)).collect::<PyResult<_>>()?;
    PyList::new(py, schemas)
}

#[pymodule(gil_used = false)]
mod _ebpflab {
    #[pymodule_export]
    use super::{
        Costs, Events, PacketProgram, Session, Stats, attach_calls, attach_cgroup, attach_count, attach_dashboard,
        attach_exec, attach_flows, attach_latency, attach_open, attach_returns, attach_runqueue, attach_stacks,
        attach_syscalls, attach_trace, attach_traffic, attach_xdp, btf_layout, btf_type, btf_type_json, check_cidr,
        check_rules, check_targets, complete_target, explain, features, features_json, flame_graph, links, links_json,
        map_entries, map_entries_json, maps, maps_json, pin_xdp, pinned_xdp, programs, programs_json, schemas,
        tracepoints, tracepoints_json, unpin_xdp, verdict, verdict_json, verifier_kinds, verify, zoo_json,
        zoo_trials_json,
    };
    #[pymodule_export]
    use super::{
        columns::{Batch, Batcher, Table},
        load::{UserEvents, UserMap, UserObject},
        recordings::{Recorder, Replay, ReplayEvents, recover},
    };
    #[pymodule_export]
    use crate::events::{ExecEvent, ExitEvent, OpenEvent, TraceEvent};
}
