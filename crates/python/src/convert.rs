//! Records as plain Python values; `ebpflab.records` makes the typed ones of them.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    time::{Duration, Instant},
};

use ebpflab::{
    records::{
        Attached, BtfEnumerator, BtfMember, BtfType, CallCount, Cost, Feature, Firewall, Holder, LatencyCount,
        LatencyCounts, Ledger, Link, Map, MapEntry, PacketCount, PacketCounts, PinnedXdp, Program, Reading,
        ReturnCount, RuleCount, SourceCount, Sources, StackCount, Summary, SyscallCount, Tracepoint,
        TracepointArgument, TracepointField, TrafficCounts, Verdict,
    },
    schema::{Optional, Record as _, Schema, Text},
    verifier::Kind,
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyTuple, PyType},
};

use crate::{
    data,
    events::{ToPython as _, python_type},
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

/// Of a cgroup: a list of tuples of groups, and one of rules. Of traffic: one of processes, one of reasons, and the
/// (packets, bytes) that the interface received and sent. Packets: a dict of (packets, bytes) by protocol. Flows and
/// processes: a list of tuples, with the fields of the native records.
pub(crate) fn counts<'py>(py: Python<'py>, reading: &Reading) -> PyResult<Bound<'py, PyAny>> {
    match reading {
        Reading::Calls(reading) => {
            let rows: Vec<_> = reading.counts.iter().map(|row| call(py, row)).collect::<PyResult<_>>()?;
            Ok(rows.into_pyobject(py)?.into_any())
        }
        Reading::Cgroup(reading) => {
            let groups = reading.counts.groups.iter().map(|row| -> PyResult<_> {
                let container = row.container.as_ref().map(|container| container.to_python(py)).transpose()?;
                let path = row.cgroup_path.as_ref().map(text);
                let group =
                    (row.cgroup, path, container, row.direction, &row.protocol, row.packets, row.bytes, row.rate);
                group.into_pyobject(py)
            });
            let denied = reading.counts.denied.iter().map(|row| (&row.rule, row.packets, row.bytes).into_pyobject(py));
            let (groups, denied) = (groups.collect::<PyResult<Vec<_>>>()?, denied.collect::<PyResult<Vec<_>>>()?);
            Ok((groups, denied).into_pyobject(py)?.into_any())
        }
        Reading::Flows(reading) => {
            let rows: Vec<_> = reading
                .counts
                .iter()
                .map(|row| {
                    (
                        row.direction,
                        &row.protocol,
                        &row.source,
                        row.source_port,
                        &row.destination,
                        row.destination_port,
                        row.vlan,
                        row.packets,
                        row.bytes,
                        row.rate,
                    )
                })
                .collect();
            Ok(rows.into_pyobject(py)?.into_any())
        }
        Reading::Latency(reading) => latencies(py, &reading.counts),
        Reading::Packets(reading) => Ok(packets(py, &reading.counts)?.into_any()),
        Reading::Pids(reading) => {
            let rows: Vec<_> =
                reading.counts.iter().map(|row| (row.pid, row.comm.as_ref().map(text), row.count, row.rate)).collect();
            Ok(rows.into_pyobject(py)?.into_any())
        }
        Reading::Returns(reading) => {
            let rows: Vec<_> = reading.counts.iter().map(|row| returns(py, row)).collect::<PyResult<_>>()?;
            Ok(rows.into_pyobject(py)?.into_any())
        }
        Reading::Runqueue(reading) => latencies(py, &reading.counts),
        Reading::Stacks(reading) => {
            let rows: Vec<_> = reading.counts.iter().map(|row| stack(py, row)).collect::<PyResult<_>>()?;
            Ok(rows.into_pyobject(py)?.into_any())
        }
        Reading::Traffic(reading) => {
            let TrafficCounts { processes, unattributed, received, sent } = &reading.counts;
            let processes: Vec<_> = processes
                .iter()
                .map(|row| (row.pid, text(&row.comm), row.direction, row.protocol, row.packets, row.bytes, row.rate))
                .collect();
            let unattributed: Vec<_> =
                unattributed.iter().map(|row| (row.direction, row.reason, row.packets, row.bytes)).collect();
            let pair = |count: &PacketCount| (count.packets, count.bytes);
            Ok((processes, unattributed, pair(received), pair(sent)).into_pyobject(py)?.into_any())
        }
        Reading::Syscalls(reading) => {
            let rows: Vec<_> = reading.counts.iter().map(|row| syscall(py, row)).collect::<PyResult<_>>()?;
            Ok(rows.into_pyobject(py)?.into_any())
        }
    }
}

/// The fields of `CallCount`.
fn call<'py>(py: Python<'py>, row: &CallCount) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "target" => &row.target,
        "pid" => row.pid,
        "comm" => row.comm.as_ref().map(text),
        "cgroup" => row.cgroup,
        "cgroup_path" => row.cgroup_path.as_ref().map(text),
        "container" => row.container.as_ref().map(|container| container.to_python(py)).transpose()?,
        "count" => row.count,
        "rate" => row.rate,
    )
}

/// The fields of `LatencyCounts`.
fn latencies<'py>(py: Python<'py>, counts: &LatencyCounts) -> PyResult<Bound<'py, PyAny>> {
    let LatencyCounts { rows, slow, slow_lost } = counts;
    let rows: Vec<_> = rows.iter().map(|row| latency(py, row)).collect::<PyResult<_>>()?;
    let slow: Vec<_> =
        slow.iter().map(|call| (call.time, call.pid, call.tid, text(&call.comm), call.latency_ns)).collect();
    Ok((rows, slow, slow_lost).into_pyobject(py)?.into_any())
}

/// The fields of `ReturnCount`, buckets as tuples of their own.
fn returns<'py>(py: Python<'py>, row: &ReturnCount) -> PyResult<Bound<'py, PyDict>> {
    let buckets: Vec<_> = row.buckets.iter().map(|bucket| (bucket.start, bucket.below, bucket.count)).collect();
    dict!(
        py,
        "pid" => row.pid,
        "comm" => row.comm.as_ref().map(text),
        "cgroup" => row.cgroup,
        "cgroup_path" => row.cgroup_path.as_ref().map(text),
        "container" => row.container.as_ref().map(|container| container.to_python(py)).transpose()?,
        "count" => row.count,
        "sum" => row.sum,
        "min" => row.min,
        "max" => row.max,
        "negative" => row.negative,
        "buckets" => buckets,
        "rate" => row.rate,
    )
}

/// The fields of `LatencyCount`, buckets as tuples of their own.
fn latency<'py>(py: Python<'py>, row: &LatencyCount) -> PyResult<Bound<'py, PyDict>> {
    let buckets: Vec<_> = row.buckets.iter().map(|bucket| (bucket.from_ns, bucket.below_ns, bucket.count)).collect();
    dict!(
        py,
        "pid" => row.pid,
        "comm" => row.comm.as_ref().map(text),
        "cgroup" => row.cgroup,
        "cgroup_path" => row.cgroup_path.as_ref().map(text),
        "container" => row.container.as_ref().map(|container| container.to_python(py)).transpose()?,
        "count" => row.count,
        "total_ns" => row.total_ns,
        "p50_ns" => row.p50_ns,
        "p90_ns" => row.p90_ns,
        "p99_ns" => row.p99_ns,
        "max_ns" => row.max_ns,
        "buckets" => buckets,
        "rate" => row.rate,
    )
}

/// The fields of `StackCount`.
fn stack<'py>(py: Python<'py>, row: &StackCount) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "pid" => row.pid,
        "comm" => row.comm.as_ref().map(text),
        "cgroup" => row.cgroup,
        "cgroup_path" => row.cgroup_path.as_ref().map(text),
        "container" => row.container.as_ref().map(|container| container.to_python(py)).transpose()?,
        "kernel" => PyTuple::new(py, &row.kernel)?,
        "user" => PyTuple::new(py, &row.user)?,
        "count" => row.count,
    )
}

/// The fields of `SyscallCount`, errors as tuples of their own.
fn syscall<'py>(py: Python<'py>, row: &SyscallCount) -> PyResult<Bound<'py, PyDict>> {
    let errors: Vec<_> = row.errors.iter().map(|error| (&error.error, error.count)).collect();
    dict!(
        py,
        "syscall" => &row.syscall,
        "number" => row.number,
        "abi" => row.abi,
        "pid" => row.pid,
        "comm" => row.comm.as_ref().map(text),
        "cgroup" => row.cgroup,
        "cgroup_path" => row.cgroup_path.as_ref().map(text),
        "container" => row.container.as_ref().map(|container| container.to_python(py)).transpose()?,
        "count" => row.count,
        "failed" => row.failed,
        "errors" => errors,
        "total_ns" => row.total_ns,
        "max_ns" => row.max_ns,
        "rate" => row.rate,
    )
}

/// By protocol.
fn packets<'py>(py: Python<'py>, counts: &PacketCounts) -> PyResult<Bound<'py, PyDict>> {
    let pair = |count: &PacketCount| (count.packets, count.bytes);
    dict!(
        py,
        "tcp" => pair(&counts.tcp),
        "udp" => pair(&counts.udp),
        "icmp" => pair(&counts.icmp),
        "arp" => pair(&counts.arp),
        "other" => pair(&counts.other),
    )
}

/// What stands beside the counts of `xdp`; each is None where it was not asked for.
pub(crate) fn more<'py>(
    py: Python<'py>,
    rules: &Optional<Firewall>,
    top: &Optional<Sources>,
    captured: &Optional<Ledger>,
) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "firewall" => rules.0.as_ref().map(|rules| firewall(py, rules)).transpose()?,
        "sources" => top.0.as_ref().map(|top| sources(py, top)).transpose()?,
        "capture" => captured.0.as_ref().map(|captured| ledger(py, captured)).transpose()?,
    )
}

/// A program that is pinned, with its counts as those of a reading.
pub(crate) fn pinned<'py>(py: Python<'py>, pinned: &PinnedXdp) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "iface" => &pinned.iface,
        "folder" => &pinned.folder,
        "program" => pinned.program,
        "mode" => pinned.mode,
        "counts" => packets(py, &pinned.counts)?,
        "firewall" => pinned.firewall.as_ref().map(|rules| firewall(py, rules)).transpose()?,
        "json" => PyBytes::new(py, &pinned.to_json_line()),
    )
}

/// Rules as tuples of the fields of `RuleCount`.
fn firewall<'py>(py: Python<'py>, firewall: &Firewall) -> PyResult<Bound<'py, PyDict>> {
    let pair = |count: &PacketCount| (count.packets, count.bytes);
    let rule = |rule: &RuleCount| (rule.cidr.clone(), rule.action, rule.active, rule.packets, rule.bytes);
    dict!(
        py,
        "active" => firewall.active,
        "dropped" => pair(&firewall.dropped),
        "passed" => pair(&firewall.passed),
        "unmatched" => pair(&firewall.unmatched),
        "rules" => firewall.rules.iter().map(rule).collect::<Vec<_>>(),
    )
}

/// Sources as tuples of the fields of `SourceCount`.
fn sources<'py>(py: Python<'py>, sources: &Sources) -> PyResult<Bound<'py, PyDict>> {
    let row = |source: &SourceCount| (source.address.clone(), source.packets, source.bytes);
    dict!(
        py,
        "top" => sources.top.iter().map(row).collect::<Vec<_>>(),
        "tracked" => sources.tracked,
        "untracked" => (sources.untracked.packets, sources.untracked.bytes),
    )
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
        "more" => more(py, &summary.firewall, &summary.sources, &summary.capture)?,
    )
}

pub(crate) fn kind<'py>(py: Python<'py>, kind: &Kind) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "id" => kind.id,
        "title" => kind.title,
        "cause" => kind.cause.name(),
        "messages" => kind.messages,
        "meaning" => kind.meaning,
        "fix" => kind.fix,
        "example" => kind.example,
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

pub(crate) fn cost<'py>(py: Python<'py>, cost: &Cost) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "of" => cost.of,
        "pid" => cost.pid,
        "comm" => cost.comm.as_ref().map(text),
        "programs" => cost.programs,
        "seconds" => cost.seconds,
        "runs" => cost.runs,
        "run_time_ns" => cost.run_time_ns,
        "programs_percent" => cost.programs_percent,
        "reader_percent" => cost.reader_percent,
        "memory_bytes" => cost.memory_bytes,
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

pub(crate) fn map_entry<'py>(py: Python<'py>, entry: &MapEntry) -> PyResult<Bound<'py, PyDict>> {
    let values = entry.values.as_ref().map(|values| tuple(py, values, data::to_python)).transpose()?;
    dict!(
        py,
        "key" => data::to_python(py, &entry.key)?,
        "value" => data::to_python(py, &entry.value)?,
        "values" => values,
    )
}

pub(crate) fn tracepoint<'py>(py: Python<'py>, tracepoint: &Tracepoint) -> PyResult<Bound<'py, PyDict>> {
    let field = |py, field: &TracepointField| {
        dict!(
            py,
            "name" => &field.name,
            "c_type" => &field.c_type,
            "offset" => field.offset,
            "bytes" => field.bytes,
            "signed" => field.signed,
        )
    };
    let argument = |py, argument: &TracepointArgument| {
        dict!(
            py,
            "name" => &argument.name,
            "c_type" => &argument.c_type,
            "index" => argument.index,
            "bytes" => argument.bytes,
        )
    };
    dict!(
        py,
        "category" => &tracepoint.category,
        "name" => &tracepoint.name,
        "fields" => tracepoint.fields.as_ref().map(|fields| tuple(py, fields, field)).transpose()?,
        "arguments" => tracepoint.arguments.as_ref().map(|arguments| tuple(py, arguments, argument)).transpose()?,
    )
}

pub(crate) fn btf_type<'py>(py: Python<'py>, of: &BtfType) -> PyResult<Bound<'py, PyDict>> {
    let enumerator = |py, each: &BtfEnumerator| dict!(py, "name" => &each.name, "value" => each.value);
    dict!(
        py,
        "name" => &of.name,
        "kind" => &of.kind,
        "bytes" => of.bytes,
        "target" => &of.target,
        "members" => tuple(py, &of.members, btf_member)?,
        "enumerators" => tuple(py, &of.enumerators, enumerator)?,
    )
}

fn btf_member<'py>(py: Python<'py>, member: &BtfMember) -> PyResult<Bound<'py, PyDict>> {
    dict!(
        py,
        "name" => &member.name,
        "c_type" => &member.c_type,
        "offset" => member.offset,
        "bytes" => member.bytes,
        "bit" => member.bit,
        "bits" => member.bits,
        "members" => tuple(py, &member.members.0, btf_member)?,
    )
}

fn tuple<'py, T, U>(
    py: Python<'py>,
    values: &[T],
    convert: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, U>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let values = values.iter().map(|value| convert(py, value).map(Bound::into_any));
    PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)
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
        .map(|field| {
            dict!(
                py,
                "name" => field.name,
                "type" => field.r#type.to_string(),
                "python" => python_type(&field.r#type),
                "doc" => field.doc.trim(),
            )
        })
        .collect::<PyResult<_>>()?;
    dict!(py, "name" => schema.name, "tag" => schema.tag, "doc" => schema.doc.trim(), "fields" => fields)
}
