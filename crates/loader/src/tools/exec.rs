//! `exec`: every executed program, and every process that ends.

use std::{mem::offset_of, ops::Range, os::fd::BorrowedFd};

use ebpflab_common::{
    event::{self, Header},
    exec::{ARGS_LEN, Exec, ExecCall, FILENAME_LEN, PATH_LEN},
    exit::Exit,
};

use super::{
    EventOptions, Needs, buffer_size, comm,
    events::{self, Opened},
    name_at,
    open::with_offsets,
};
use crate::{
    bpf::{Object, Opener, Perf, Target},
    error::Result,
    events::Raw,
    hooks::{self, Kind, Way},
    names::{ErrorName, Words},
    objects, privilege,
    records::{ExecEvent, ExitEvent},
    schema::{Text, Texts},
    session::{Session, Source},
    tracefs,
};

/// Bytes of each CPU's buffer unless the user asks for another number.
const BUFFER: u64 = 256 << 10;

/// Bytes of the largest record.
pub(super) const LARGEST: usize = size_of::<Exec>() + FILENAME_LEN + ARGS_LEN + 2 * PATH_LEN;

/// What to trace.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What every tool that has events is asked for.
    pub events: EventOptions,
    /// The ends of processes too.
    pub exits: bool,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "exec",
        operation: "tracing execs",
        capabilities: privilege::TRACING,
        object: objects::EXEC,
        prepare: || open(&Options::default()).map(drop),
        ways: vec![("execs", ways(false, false))],
    }
}

/// Attaches and starts.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where no hook works, `Privilege`.
pub fn attach(options: &Options) -> Result<Session> {
    let (mut opened, perf, buffer) = open(options)?;
    let ways = ways(options.events.only.failed, options.exits);
    let hooked = hooks::attach(&mut opened.object, "exec", &ways, options.events.hook)?;
    let buffer = perf.fds().len() as u64 * u64::from(buffer);
    let kinds: &[_] = if options.exits { &[event::Kind::Exec, event::Kind::Exit] } else { &[event::Kind::Exec] };
    let execs = Execs { perf, kinds, records: Vec::new(), order: Vec::new() };
    opened.start("exec", hooked, Box::new(execs), buffer)
}

/// What is opened, its buffers, and the size of each.
fn open(options: &Options) -> Result<(Opened, Perf, u32)> {
    let only = &options.events.only;
    let buffer = buffer_size(options.events.buffer.unwrap_or(BUFFER), LARGEST)?;
    let mut opened = events::open(&needs(), only, |opener| prepared(opener, only.failed, options.exits))?;
    let perf = opened.object.take_perf("EVENTS", buffer as usize)?;
    Ok((opened, perf, buffer))
}

/// Tells the programs whether exits are asked for, and what tracefs says about the records. Where it says nothing the
/// tracepoints cannot be attached either. Maps that only failed calls or exits need are not made large for nothing.
pub(super) fn prepared(opener: Opener<'_>, failed: bool, exits: bool) -> Opener<'_> {
    let mut opener = with_offsets(opener).global("EXITS", u32::from(exits));
    if !failed {
        opener = opener.max_entries("EXEC_CALLS", 1);
    }
    if !exits {
        opener = opener.max_entries("EXEC_TIMES", 1).max_entries("ENDED", 1);
    }
    for (global, field) in [("FILENAME", "filename"), ("OLD_PID", "old_pid")] {
        if let Ok(offset) = tracefs::field_offset("sched", "sched_process_exec", field) {
            opener = opener.global(global, offset);
        }
    }
    opener
}

/// The same events with their formatted records, whose attaching needs tracefs, or with their raw arguments. Calls that
/// fail are seen at entry and return; of those raw tracepoints see more.
pub(super) fn ways(failed: bool, exits: bool) -> Vec<Way> {
    const EXEC: &str = "sched_process_exec";
    const EXIT: &str = "sched_process_exit";
    let (exec, raw_exec) = (Target::Tracepoint("sched".into(), EXEC.into()), Target::RawTracepoint(EXEC.into()));
    let mut tracepoint = Way {
        kind: Kind::Tracepoint,
        programs: vec![("exec_tp", exec.clone())],
        tails: vec![("EXEC_ON_TP", "exec_tp_on", exec)],
        blind_to: &[],
    };
    let mut raw_tracepoint = Way {
        kind: Kind::RawTracepoint,
        programs: vec![("exec_raw_tp", raw_exec.clone())],
        tails: vec![("EXEC_ON_RAW_TP", "exec_raw_tp_on", raw_exec)],
        blind_to: &[],
    };
    if exits {
        tracepoint.programs.push(("exit_tp", Target::Tracepoint("sched".into(), EXIT.into())));
        raw_tracepoint.programs.push(("exit_raw_tp", Target::RawTracepoint(EXIT.into())));
    }
    if !failed {
        return vec![tracepoint, raw_tracepoint];
    }
    let entries = [("exec_tp_enter", "sys_enter_execve"), ("exec_tp_enterat", "sys_enter_execveat")];
    tracepoint.programs.extend(hooks::each(entries));
    tracepoint.programs.extend(hooks::on_each("exec_tp_exit", ["sys_exit_execve", "sys_exit_execveat"]));
    tracepoint.blind_to = &["kernel", "compat"];
    raw_tracepoint.programs.push(("exec_sys_enter", Target::RawTracepoint("sys_enter".into())));
    raw_tracepoint.programs.push(("exec_sys_exit", Target::RawTracepoint("sys_exit".into())));
    raw_tracepoint.blind_to = &["kernel"];
    vec![raw_tracepoint, tracepoint]
}

struct Execs {
    perf: Perf,
    kinds: &'static [event::Kind],
    /// What is in the buffers, one record after the other, and when each was written and where it stands.
    records: Vec<u8>,
    order: Vec<(u64, Range<usize>)>,
}

impl Source for Execs {
    /// All that there is: a perf buffer does not show a second time that something is in it. By time, since each CPU
    /// has a buffer of its own.
    fn drain(&mut self, _most: usize, take: &mut dyn FnMut(&[u8], &[u8])) {
        let Self { perf, records, order, .. } = self;
        records.clear();
        order.clear();
        perf.drain(|head, tail| {
            let start = records.len();
            records.extend_from_slice(head);
            records.extend_from_slice(tail);
            let time = event::split::<Header>(&records[start..]).map_or(0, |(header, _)| header.time);
            order.push((time, start..records.len()));
        });
        order.sort_unstable_by_key(|(time, record)| (*time, record.start));
        order.iter().for_each(|(_, record)| take(&records[record.clone()], &[]));
    }

    /// An exit is one event, with nothing to come after it, and so is an exec, but for calls that may fail.
    fn pending(&self, object: &Object, kind: event::Kind) -> Result<u64> {
        match kind {
            event::Kind::Exec => Ok(object.hash_map::<u32, ExecCall>("EXEC_CALLS")?.len() as u64),
            _ => Ok(0),
        }
    }

    fn kinds(&self) -> &[event::Kind] {
        self.kinds
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.perf.fds()
    }
}

/// The parts of a record after what is fixed.
struct Parts<'a> {
    filename: &'a [u8],
    args: &'a [u8],
    exe: &'a [u8],
    cwd: &'a [u8],
}

/// `None` if it is not whole.
fn parts(record: &[u8]) -> Option<(Exec, Parts<'_>)> {
    let (exec, rest) = event::split::<Exec>(record)?;
    let (filename, rest) = rest.split_at_checked(exec.filename_len as usize)?;
    let (args, rest) = rest.split_at_checked(exec.args_len as usize)?;
    let (exe, rest) = rest.split_at_checked(exec.exe_len as usize)?;
    let cwd = rest.get(..exec.cwd_len as usize)?;
    Some((exec, Parts { filename, args, exe, cwd }))
}

pub(crate) fn is_whole(record: &[u8]) -> bool {
    parts(record).is_some()
}

pub(crate) fn event<'a>(raw: &Raw<'a>) -> Option<ExecEvent<'a>> {
    let (exec, Parts { filename, args, exe, cwd }) = parts(raw.record())?;
    let header = &exec.header;
    Some(ExecEvent {
        time: header.time + raw.clock_offset(),
        cpu: header.cpu,
        pid: header.pid,
        ns_pid: header.ns_pid,
        ppid: exec.ppid,
        parent_comm: name_at(raw.record(), offset_of!(Exec, parent_comm)),
        uid: header.uid,
        gid: header.gid,
        loginuid: Exec::known(exec.loginuid),
        comm: comm(raw.record()),
        cgroup: header.cgroup,
        cgroup_path: raw.place().map(|place| &place.path),
        container: raw.place().and_then(|place| place.container.as_ref()),
        filename: (!header.has(Header::FAULT)).then(|| filename.into()),
        exe: whole_path(exec.path_marks(Exec::EXE), exe),
        cwd: whole_path(exec.path_marks(Exec::CWD), cwd),
        path_truncated: header.has(Exec::FILENAME_TRUNCATED)
            || [Exec::EXE, Exec::CWD].iter().any(|path| exec.path_marks(*path) & Exec::PATH_TRUNCATED != 0),
        path_fault: path_fault(&exec),
        path_notes: path_notes(&exec),
        argv: (!header.has(Exec::ARGS_FAULT)).then(|| Texts(args.into())),
        argc: Exec::known(exec.argc),
        argv_truncated: header.has(Header::TRUNCATED),
        ret: exec.ret,
        error: ErrorName(exec.ret),
    })
}

/// A path that a walk led to; there is none where it was not made.
fn whole_path(marks: u16, path: &[u8]) -> Option<Text<'_>> {
    if marks & Exec::PATH_FAULT != 0 || path.is_empty() {
        return None;
    }
    // It is not the root of the process that such a path begins at.
    let is_below = marks & (Exec::PATH_TRUNCATED | Exec::PATH_OUTSIDE) == 0;
    Some(if is_below { path } else { path.strip_prefix(b"/").unwrap_or(path) }.into())
}

/// What could not be had.
fn path_fault(exec: &Exec) -> Option<&'static str> {
    let lacks = |path| exec.path_marks(path) & Exec::PATH_FAULT != 0;
    match (exec.header.has(Header::FAULT), lacks(Exec::EXE), lacks(Exec::CWD)) {
        (false, false, false) => None,
        (true, false, false) => Some("filename"),
        (false, true, false) => Some("exe"),
        (false, false, true) => Some("cwd"),
        (true, true, false) => Some("filename and exe"),
        (true, false, true) => Some("filename and cwd"),
        (false, true, true) => Some("exe and cwd"),
        (true, true, true) => Some("filename, exe and cwd"),
    }
}

fn path_notes(exec: &Exec) -> Words {
    let notes = |path, note| exec.path_marks(path) & note != 0;
    Words::of([
        ("unlinked", notes(Exec::EXE, Exec::PATH_UNLINKED)),
        ("outside_root", notes(Exec::EXE, Exec::PATH_OUTSIDE)),
        ("cwd_unlinked", notes(Exec::CWD, Exec::PATH_UNLINKED)),
        ("cwd_outside_root", notes(Exec::CWD, Exec::PATH_OUTSIDE)),
    ])
}

pub(crate) fn is_whole_exit(record: &[u8]) -> bool {
    event::split::<Exit>(record).is_some()
}

pub(crate) fn exit_event<'a>(raw: &Raw<'a>) -> Option<ExitEvent<'a>> {
    let (exit, _) = event::split::<Exit>(raw.record())?;
    let header = &exit.header;
    let exec_time = (exit.exec_time != 0).then_some(exit.exec_time);
    Some(ExitEvent {
        time: header.time + raw.clock_offset(),
        cpu: header.cpu,
        pid: header.pid,
        ns_pid: header.ns_pid,
        ppid: exit.ppid,
        uid: header.uid,
        gid: header.gid,
        comm: comm(raw.record()),
        cgroup: header.cgroup,
        cgroup_path: raw.place().map(|place| &place.path),
        container: raw.place().and_then(|place| place.container.as_ref()),
        exit_code: exit.code(),
        signal: exit.signal(),
        core: exit.dumped_core(),
        duration_ns: exit.duration,
        exec_duration_ns: exec_time.map(|time| header.time.saturating_sub(time)),
        exec_time: exec_time.map(|time| time + raw.clock_offset()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Event;

    fn record(exec: Exec, rest: &[u8]) -> Vec<u8> {
        let header = Header { kind: event::Kind::Exec as u16, ..exec.header };
        let exec = Exec { header, ..exec };
        // SAFETY: plain integers.
        let fixed = unsafe { std::slice::from_raw_parts((&raw const exec).cast::<u8>(), size_of::<Exec>()) };
        [fixed, rest].concat()
    }

    fn told(record: &[u8], clock_offset: u64) -> ExecEvent<'_> {
        match Raw::new(record, None, clock_offset).expect("a whole record").event() {
            Event::Exec(event) => event,
            other => panic!("{other:?} is no exec"),
        }
    }

    fn text(text: &[u8]) -> Option<Text<'_>> {
        Some(text.into())
    }

    #[test]
    fn strings_are_told_apart_by_their_lengths() {
        let parent_comm = *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let lengths = Exec { filename_len: 7, args_len: 6, exe_len: 11, cwd_len: 4, ..Exec::default() };
        let exec = Exec { ppid: 7, argc: 2, parent_comm, ..lengths };
        let record = record(exec, b"/bin/lsls\0-l\0/usr/bin/ls/tmp and padding");
        let event = told(&record, 1_000);
        assert_eq!(event.filename, text(b"/bin/ls"));
        assert_eq!(event.argv.expect("it is there").iter().collect::<Vec<_>>(), [b"ls", b"-l"]);
        assert_eq!((event.ppid, event.time, event.argc, event.argv_truncated), (7, 1_000, Some(2), false));
        assert_eq!(event.parent_comm, Text::from(&b"sh"[..]));
        assert_eq!((event.exe, event.cwd), (text(b"/usr/bin/ls"), text(b"/tmp")));
        assert_eq!((event.path_fault, event.path_truncated, event.path_notes), (None, false, Words::default()));
    }

    #[test]
    fn paths_say_what_is_wrong_with_them() {
        let mut exec = Exec { exe_len: 4, cwd_len: 4, ..Exec::default() };
        let all =
            |exec: Exec, exe: Option<&[u8]>, cwd: Option<&[u8]>, fault: Option<&str>, cut: bool, notes: &[&str]| {
                let record = record(exec, b"/exe/cwd");
                let event = told(&record, 0);
                assert_eq!((event.exe, event.cwd), (exe.map(Text::from), cwd.map(Text::from)));
                assert_eq!((event.path_fault, event.path_truncated), (fault, cut));
                assert_eq!(event.path_notes.iter().collect::<Vec<_>>(), notes);
            };
        exec.header.marks = (Exec::PATH_UNLINKED | Exec::PATH_OUTSIDE) << Exec::EXE | Exec::PATH_TRUNCATED << Exec::CWD;
        all(exec, Some(b"exe"), Some(b"cwd"), None, true, &["unlinked", "outside_root"]);
        exec.header.marks = Exec::PATH_FAULT << Exec::EXE | Exec::PATH_UNLINKED << Exec::CWD;
        all(exec, None, Some(b"/cwd"), Some("exe"), false, &["cwd_unlinked"]);
        exec.header.marks = Header::FAULT | Exec::PATH_FAULT << Exec::CWD | Exec::PATH_OUTSIDE << Exec::CWD;
        all(exec, Some(b"/exe"), None, Some("filename and cwd"), false, &["cwd_outside_root"]);
    }

    #[test]
    fn an_exit_tells_what_it_knows_of_the_exec() {
        let header = Header { time: 70, kind: event::Kind::Exit as u16, ..Header::default() };
        let exit = Exit { header, duration: 60, exec_time: 20, ppid: 7, status: 3 << 8 };
        let check = |exit: Exit, compare: fn(ExitEvent<'_>)| {
            // SAFETY: plain integers.
            let bytes = unsafe { std::slice::from_raw_parts((&raw const exit).cast::<u8>(), size_of::<Exit>()) };
            match Raw::new(bytes, None, 1_000).expect("a whole record").event() {
                Event::Exit(event) => compare(event),
                other => panic!("{other:?} is no exit"),
            }
        };
        check(exit, |event| {
            assert_eq!((event.time, event.exec_time, event.exec_duration_ns), (1_070, Some(1_020), Some(50)));
            assert_eq!((event.exit_code, event.signal, event.core, event.ppid), (Some(3), None, false, 7));
        });
        check(Exit { exec_time: 0, status: 0x80 | libc::SIGSEGV, ..exit }, |killed| {
            assert_eq!((killed.exit_code, killed.signal, killed.core), (None, Some(libc::SIGSEGV as u32), true));
            assert_eq!((killed.exec_time, killed.exec_duration_ns, killed.duration_ns), (None, None, 60));
        });
    }

    #[test]
    fn what_could_not_be_read_is_none() {
        let mut exec = Exec { filename_len: 7, ..Exec::default() };
        let whole = record(exec, b"/bin/ls");
        let whole = told(&whole, 0);
        assert_eq!(whole.argv.expect("there are none").iter().count(), 0);
        assert_eq!((whole.argc, whole.loginuid), (Some(0), Some(0)));
        exec.header.marks = Exec::ARGS_FAULT;
        (exec.argc, exec.loginuid) = (Exec::UNKNOWN, Exec::UNKNOWN);
        let lacking = record(exec, b"/bin/ls");
        let lacking = told(&lacking, 0);
        assert_eq!((lacking.argv, lacking.argc, lacking.loginuid), (None, None, None));
        assert_eq!(lacking.filename, text(b"/bin/ls"));
        exec.header.marks = Header::FAULT;
        assert_eq!(told(&record(exec, b"/bin/ls"), 0).filename, None);
    }
}
