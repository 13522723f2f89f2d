//! Records as plain Python values; `ebpflab.records` makes the typed ones of them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ebpflab::{
    names::{FlagNames, Words},
    records::{
        Attached, Container, Event, Feature, Holder, Ledger, Link, Map, PacketCount, Program, Reading, Summary, Verdict,
    },
    schema::{Schema, Text},
};
use pyo3::{
    IntoPyObjectExt as _,
    exceptions::PyValueError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyTuple, PyType},
};

/// Makes a dict of named values.
macro_rules! dict {
    ($py:expr, $($name:expr => $value:expr),+ $(,)?) => {{
        let dict = PyDict::new($py);
        $( dict.set_item($name, $value)?; )+
        Ok(dict)
    }};
}

/// When a wait of that many seconds ends; `None` never does.
pub(crate) fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(seconds) = timeout else { return Ok(None) };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!("a wait cannot take {seconds} seconds")));
    }
    // Later than the clock can say is never.
    Ok(Duration::try_from_secs_f64(seconds).ok().and_then(|timeout| Instant::now().checked_add(timeout)))
}

pub(crate) fn attached<'py>(py: Python<'py>, attached: &Attached) -> PyResult<Bound<'py, PyDict>> {
    let hooks: Vec<_> = attached
        .hooks
        .iter()
        .map(|hook| {
            dict!(py, "program" => &hook.program, "kind" => &hook.kind, "target" => &hook.target, "reason" => &hook.reason)
        })
        .collect::<PyResult<_>>()?;
    let mode = attached.mode.0.as_ref().map(|mode| (&mode.asked, &mode.got));
    dict!(
        py,
        "command" => &attached.command,
        "hooks" => hooks,
        "blind_to" => &attached.blind_to,
        "buffer" => attached.buffer,
        "kernel" => &attached.kernel,
        "mode" => mode,
    )
}

pub(crate) fn ledger<'py>(py: Python<'py>, ledger: &Ledger) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "seen" => ledger.seen,
        "filtered" => ledger.filtered,
        "submitted" => ledger.submitted,
        "dropped" => ledger.dropped,
        "unpaired" => ledger.unpaired,
        "pending" => ledger.pending,
        "map_full" => ledger.map_full,
        "missed" => ledger.missed,
        "faults" => ledger.faults,
        "truncated" => ledger.truncated,
        "received" => ledger.received,
        "shown" => ledger.shown,
    )
}

/// Packets: a dict of (packets, bytes) by protocol. Processes: a list of (pid, comm, count, rate).
pub(crate) fn counts<'py>(py: Python<'py>, reading: &Reading) -> PyResult<Bound<'py, PyAny>> {
    match reading {
        Reading::Packets(reading) => {
            let pair = |count: &PacketCount| (count.packets, count.bytes);
            let counts = &reading.counts;
            let dict: PyResult<Bound<'py, PyDict>> = dict!(
                py,
                "tcp" => pair(&counts.tcp),
                "udp" => pair(&counts.udp),
                "icmp" => pair(&counts.icmp),
                "arp" => pair(&counts.arp),
                "other" => pair(&counts.other),
            );
            Ok(dict?.into_any())
        }
        Reading::Pids(reading) => {
            let rows: Vec<_> =
                reading.counts.iter().map(|row| (row.pid, row.comm.as_ref().map(text), row.count, row.rate)).collect();
            Ok(rows.into_pyobject(py)?.into_any())
        }
    }
}

/// An event as an object of its class in `ebpflab.records`, whose fields have the order of the native record.
pub(crate) fn event<'py>(py: Python<'py>, event: &Event<'_>) -> PyResult<Bound<'py, PyAny>> {
    static EXEC: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static EXIT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static OPEN: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    /// Calls a class with values of different types (PyO3 makes tuples of up to 12).
    macro_rules! make {
        ($class:ident, $name:literal, $($value:expr),+ $(,)?) => {
            $class
                .import(py, "ebpflab.records", $name)?
                .call1(PyTuple::new(py, [$( $value.into_bound_py_any(py)? ),+])?)
        };
    }
    match event {
        Event::Exec(exec) => {
            let argv =
                exec.argv.as_ref().map(|argv| PyTuple::new(py, argv.iter().map(OsStr::from_bytes).collect::<Vec<_>>()));
            make!(
                EXEC,
                "ExecEvent",
                exec.time,
                exec.cpu,
                exec.pid,
                exec.ns_pid,
                exec.ppid,
                text(&exec.parent_comm),
                exec.uid,
                exec.gid,
                exec.loginuid,
                text(&exec.comm),
                exec.cgroup,
                exec.cgroup_path.map(text),
                exec.container.map(|it| container(py, it)).transpose()?,
                exec.filename.as_ref().map(text),
                exec.exe.as_ref().map(text),
                exec.cwd.as_ref().map(text),
                exec.path_truncated,
                exec.path_fault,
                words(py, &exec.path_notes)?,
                argv.transpose()?,
                exec.argc,
                exec.argv_truncated,
                exec.ret,
                exec.error.name().map(|name| name.to_string()),
            )
        }
        Event::Exit(exit) => make!(
            EXIT,
            "ExitEvent",
            exit.time,
            exit.cpu,
            exit.pid,
            exit.ns_pid,
            exit.ppid,
            exit.uid,
            exit.gid,
            text(&exit.comm),
            exit.cgroup,
            exit.cgroup_path.map(text),
            exit.container.map(|it| container(py, it)).transpose()?,
            exit.exit_code,
            exit.signal,
            exit.core,
            exit.duration_ns,
            exit.exec_duration_ns,
            exit.exec_time,
        ),
        Event::Open(open) => make!(
            OPEN,
            "OpenEvent",
            open.time,
            open.cpu,
            open.pid,
            open.tid,
            open.ns_pid,
            open.uid,
            open.gid,
            text(&open.comm),
            open.cgroup,
            open.cgroup_path.map(text),
            open.container.map(|it| container(py, it)).transpose()?,
            open.path.as_ref().map(text),
            open.full_path.as_ref().map(text),
            open.path_truncated,
            open.path_fault,
            words(py, &open.path_notes)?,
            open.dirfd,
            open.flags,
            flag_names(py, open.flag_names)?,
            open.mode,
            open.ret,
            open.error.name().map(|name| name.to_string()),
            open.latency_ns,
            open.inode,
            open.device,
        ),
    }
}

/// A container as an object of its class in `ebpflab.records`.
fn container<'py>(py: Python<'py>, container: &Container) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let Container { id, runtime, name } = container;
    CLASS.import(py, "ebpflab.records", "Container")?.call1((id, runtime, name))
}

fn words<'py>(py: Python<'py>, words: &Words) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, words.iter().collect::<Vec<_>>())
}

/// One tuple for each combination of flags: there are few of them, and many events.
fn flag_names<'py>(py: Python<'py>, flags: FlagNames) -> PyResult<Bound<'py, PyTuple>> {
    static KNOWN: Mutex<BTreeMap<u64, Py<PyTuple>>> = Mutex::new(BTreeMap::new());
    /// Whoever opens files may choose them.
    const MOST: usize = 1_024;
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(names) = known().get(&flags.0) {
        return Ok(names.bind(py).clone());
    }
    // Not while it is locked: making an object may run anything.
    let names = PyTuple::new(py, flags.names().collect::<Vec<_>>())?;
    let mut known = known();
    if known.len() < MOST {
        known.insert(flags.0, names.clone().unbind());
    }
    Ok(names)
}

/// Becomes a str as `os.fsdecode` makes it: any bytes come back as they were.
fn text<'a>(text: &'a Text<'_>) -> &'a OsStr {
    OsStr::from_bytes(&text.0)
}

pub(crate) fn summary<'py>(py: Python<'py>, summary: &Summary) -> PyResult<Bound<'py, PyDict>> {
    let ledgers = summary.ledgers.0.as_ref().map(|ledgers| -> PyResult<_> {
        let open = ledgers.open.0.as_ref().map(|open| ledger(py, open)).transpose()?;
        dict!(py, "open" => open, "exec" => ledger(py, &ledgers.exec)?, "exit" => ledger(py, &ledgers.exit)?)
    });
    dict!(
        py,
        "ledger" => ledger(py, &summary.ledger)?,
        "duration_s" => summary.duration_s,
        "counts" => summary.counts.0.as_ref().map(|totals| counts(py, &totals.0)).transpose()?,
        "ledgers" => ledgers.transpose()?,
    )
}

pub(crate) fn feature<'py>(py: Python<'py>, feature: &Feature) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "group" => &feature.group,
        "name" => &feature.name,
        "answer" => &feature.answer,
        "found" => &feature.found,
        "costs" => &feature.costs,
        "fix" => &feature.fix,
    )
}

pub(crate) fn verdict<'py>(py: Python<'py>, verdict: &Verdict) -> PyResult<Bound<'py, PyDict>> {
    let hooks: Vec<_> = verdict
        .hooks
        .iter()
        .map(|hook| {
            dict!(
                py,
                "part" => &hook.part,
                "hook" => &hook.hook,
                "works" => hook.works,
                "taken" => hook.taken,
                "reason" => &hook.reason,
                "fix" => &hook.fix,
            )
        })
        .collect::<PyResult<_>>()?;
    dict!(
        py,
        "tool" => &verdict.tool,
        "works" => verdict.works,
        "reason" => &verdict.reason,
        "fix" => &verdict.fix,
        "hooks" => hooks,
    )
}

pub(crate) fn program<'py>(py: Python<'py>, program: &Program) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "id" => program.id,
        "kind" => &program.kind,
        "name" => &program.name,
        "tag" => &program.tag,
        "loaded" => program.loaded,
        "uid" => program.uid,
        "instructions" => program.instructions,
        "jited_bytes" => program.jited_bytes,
        "memory_bytes" => program.memory_bytes,
        "verified_instructions" => program.verified_instructions,
        "missed" => program.missed,
        "run_count" => program.run_count,
        "run_time_ns" => program.run_time_ns,
        "maps" => PyTuple::new(py, &program.maps)?,
        "holders" => holders(py, &program.holders)?,
    )
}

pub(crate) fn map<'py>(py: Python<'py>, map: &Map) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "id" => map.id,
        "kind" => &map.kind,
        "name" => &map.name,
        "key_bytes" => map.key_bytes,
        "value_bytes" => map.value_bytes,
        "max_entries" => map.max_entries,
        "flags" => map.flags,
        "memory_bytes" => map.memory_bytes,
        "holders" => holders(py, &map.holders)?,
    )
}

pub(crate) fn link<'py>(py: Python<'py>, link: &Link) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "id" => link.id,
        "kind" => &link.kind,
        "program" => link.program,
        "target" => &link.target,
        "holders" => holders(py, &link.holders)?,
    )
}

fn holders<'py>(py: Python<'py>, holders: &[Holder]) -> PyResult<Bound<'py, PyTuple>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "ebpflab.records", "Holder")?;
    let holders = holders.iter().map(|holder| class.call1((holder.pid, holder.comm.as_ref().map(text))));
    PyTuple::new(py, holders.collect::<PyResult<Vec<_>>>()?)
}

pub(crate) fn schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyDict>> {
    let fields: Vec<_> = schema
        .fields
        .iter()
        .map(|field| dict!(py, "name" => field.name, "type" => field.r#type.to_string(), "doc" => field.doc.trim()))
        .collect::<PyResult<_>>()?;
    dict!(py, "name" => schema.name, "tag" => schema.tag, "doc" => schema.doc.trim(), "fields" => fields)
}
