//! `open`: every call of open, creat, openat and openat2, when it returns.

use ebpflab_common::{
    event::{self, Header},
    open::{FULL_PATH_LEN, Open, PATH_LEN},
};

use super::{
    EventOptions, Needs, buffer_size, comm,
    events::{self, Opened},
    ring::RingSource,
};
use crate::{
    bpf::{Opener, Target},
    error::Result,
    events::Raw,
    hooks::{self, EXITS, Kind, Way},
    names::{ErrorName, FlagNames, Words, device_number, is_magic_link},
    objects, privilege,
    records::OpenEvent,
    schema::Text,
    session::Session,
    tracefs,
};

/// Bytes of the ring buffer unless the user asks for another number.
const BUFFER: u64 = 4 << 20;

/// Bytes of the largest record.
pub(super) const LARGEST: usize = size_of::<Open>() + PATH_LEN + FULL_PATH_LEN;

pub(super) fn needs() -> Needs {
    Needs {
        tool: "open",
        operation: "tracing system calls",
        capabilities: privilege::TRACING,
        object: objects::OPEN,
        prepare: || open(&EventOptions::default()).map(drop),
        ways: vec![("opens", ways())],
    }
}

/// Attaches and starts.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where no hook works, `Privilege`.
pub fn attach(options: &EventOptions) -> Result<Session> {
    let (mut opened, buffer) = open(options)?;
    let hooked = hooks::attach(&mut opened.object, "open", &ways(), options.hook)?;
    let opens = RingSource::new(&mut opened.object, &[event::Kind::Open])?;
    opened.start("open", hooked, Box::new(opens), buffer.into())
}

/// What is opened, and the size of its buffer.
fn open(options: &EventOptions) -> Result<(Opened, u32)> {
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), LARGEST)?;
    let opened = events::open(&needs(), &options.only, |opener| with_offsets(opener).max_entries("EVENTS", buffer))?;
    Ok((opened, buffer))
}

/// Tells the programs what tracefs says about the records of system calls. Where it says nothing their tracepoints
/// cannot be attached either.
pub(super) fn with_offsets(mut opener: Opener<'_>) -> Opener<'_> {
    if let Ok(offset) = tracefs::field_offset("syscalls", "sys_exit_openat", "ret") {
        opener = opener.global("SYS_EXIT_RET", offset);
    }
    if let Ok(offset) = tracefs::field_offset("syscalls", "sys_enter_openat", "dfd") {
        opener = opener.global("SYS_ENTER_ARGS", offset);
    }
    opener
}

/// The ways in the order of preference: each remembers a call at its entry and records it at its return. After a
/// kprobe the return comes from a raw tracepoint: a kretprobe, which has to be asked for, loses returns while many calls
/// are blocked.
pub(super) fn ways() -> Vec<Way> {
    const OPEN: &str = "do_sys_openat2";
    const IN_FUNCTION: &[&str] = &["io_uring", "invalid_how"];
    let way = |kind, programs, tail, blind_to| Way { kind, programs, tails: vec![tail], blind_to };
    let (entry, at_return) = (Target::Kprobe(OPEN.into()), Target::Kretprobe(OPEN.into()));
    let sys_exit = ("open_sys_exit", Target::RawTracepoint("sys_exit".into()));
    let on_sys = ("OPEN_ON_SYS", "open_on_sys", Target::RawTracepoint("sys_exit".into()));
    let on_tp = Target::Tracepoint("syscalls".into(), "sys_exit_openat".into());
    let entries = [
        ("open_tp_open", "sys_enter_open"),
        ("open_tp_creat", "sys_enter_creat"),
        ("open_tp_openat", "sys_enter_openat"),
        ("open_tp_openat2", "sys_enter_openat2"),
    ];
    vec![
        way(
            Kind::Fentry,
            vec![("open_fentry", Target::Fentry(OPEN.into())), ("open_fexit", Target::Fexit(OPEN.into()))],
            ("OPEN_ON_FEXIT", "open_on_fexit", Target::Fexit(OPEN.into())),
            IN_FUNCTION,
        ),
        way(Kind::Kprobe, vec![("open_kprobe", entry.clone()), sys_exit.clone()], on_sys.clone(), IN_FUNCTION),
        way(
            Kind::Kretprobe,
            vec![("open_kprobe", entry), ("open_kretprobe", at_return.clone())],
            ("OPEN_ON_KRET", "open_on_kret", at_return),
            IN_FUNCTION,
        ),
        way(
            Kind::RawTracepoint,
            vec![("open_sys_enter", Target::RawTracepoint("sys_enter".into())), sys_exit],
            on_sys,
            &["io_uring"],
        ),
        way(
            Kind::Tracepoint,
            [hooks::each(entries), hooks::on_each("open_tp_exit", EXITS)].concat(),
            ("OPEN_ON_TP", "open_on_tp", on_tp),
            &["io_uring", "compat"],
        ),
    ]
}

/// The parts of a record: path and whole path after what is fixed; `None` if it is not whole.
fn parts(record: &[u8]) -> Option<(Open, &[u8], &[u8])> {
    let (open, rest) = event::split::<Open>(record)?;
    let (path, rest) = rest.split_at_checked(open.path_len as usize)?;
    Some((open, path, rest.get(..open.full_path_len as usize)?))
}

pub(crate) fn is_whole(record: &[u8]) -> bool {
    parts(record).is_some()
}

pub(crate) fn event<'a>(raw: &Raw<'a>) -> Option<OpenEvent<'a>> {
    let (open, path, full_path) = parts(raw.record())?;
    let header = &open.header;
    let full_path = if header.has(Open::FULL_PATH_FAULT) {
        None
    } else if header.has(Open::FULL_PATH_IS_PATH) {
        Some(path)
    } else if full_path.is_empty() {
        // Of a pipe: what is outside need not have a name.
        None
    } else if header.has(Open::FULL_PATH_TRUNCATED | Open::OUTSIDE) {
        // It is not the root of the process that this begins at.
        Some(full_path.strip_prefix(b"/").unwrap_or(full_path))
    } else {
        Some(full_path)
    };
    let opened = open.inode != 0;
    Some(OpenEvent {
        time: header.time + raw.clock_offset(),
        cpu: header.cpu,
        pid: header.pid,
        tid: header.tid,
        ns_pid: header.ns_pid,
        uid: header.uid,
        gid: header.gid,
        comm: comm(raw.record()),
        cgroup: header.cgroup,
        cgroup_path: raw.place().map(|place| &place.path),
        container: raw.place().and_then(|place| place.container.as_ref()),
        path: (!header.has(Header::FAULT)).then(|| path.into()),
        full_path: full_path.map(Text::from),
        path_truncated: header.has(Header::TRUNCATED | Open::FULL_PATH_TRUNCATED),
        path_fault: path_fault(header, open.ret),
        path_notes: path_notes(&open, path, full_path),
        dirfd: open.dirfd,
        flags: open.flags,
        flag_names: FlagNames(open.flags),
        mode: open.mode,
        ret: open.ret,
        error: ErrorName(open.ret),
        latency_ns: open.latency,
        inode: opened.then_some(open.inode),
        device: opened.then(|| device_number(open.device)),
    })
}

/// What could not be had.
fn path_fault(header: &Header, ret: i32) -> Option<&'static str> {
    match (header.has(Header::FAULT), header.has(Open::FULL_PATH_FAULT)) {
        (false, false) => None,
        (true, false) => Some("path"),
        // Without a path there is none to make whole.
        (true, true) if ret < 0 => Some("path"),
        (true, true) => Some("path and file"),
        (false, true) if ret < 0 => Some("folder"),
        (false, true) => Some("file"),
    }
}

fn path_notes(open: &Open, path: &[u8], full_path: Option<&[u8]>) -> Words {
    /// `__O_TMPFILE`; the same on x86_64 and arm64.
    const TMPFILE: u64 = 0o20_000_000;
    let is_tmpfile = open.ret >= 0 && open.flags & TMPFILE != 0;
    let unlinked = open.header.has(Open::UNLINKED);
    Words::of([
        ("tmpfile", is_tmpfile),
        ("unlinked", unlinked && !is_tmpfile),
        ("magic_link", open.ret >= 0 && is_magic_link(path) && full_path != Some(path)),
        ("outside_root", open.header.has(Open::OUTSIDE)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Event;

    fn record(open: Open, rest: &[u8]) -> Vec<u8> {
        // SAFETY: plain integers.
        let fixed = unsafe { std::slice::from_raw_parts((&raw const open).cast::<u8>(), size_of::<Open>()) };
        [fixed, rest].concat()
    }

    fn told(record: &[u8], clock_offset: u64) -> Option<OpenEvent<'_>> {
        Raw::new(record, None, clock_offset).map(|raw| match raw.event() {
            Event::Open(event) => event,
            other => panic!("{other:?} is no open"),
        })
    }

    #[test]
    fn reads_no_further_than_the_record_says() {
        let record = record(Open { path_len: 4, ret: -2, ..Open::default() }, b"/tmpold bytes");
        let event = told(&record, 1_000).expect("a whole record");
        assert_eq!(event.path, Some(Text::from(&b"/tmp"[..])));
        assert_eq!((event.time, event.ret, event.path_truncated), (1_000, -2, false));
    }

    #[test]
    fn a_path_that_could_not_be_read_is_not_an_empty_one() {
        let mut open = Open::default();
        assert_eq!(told(&record(open, b""), 0).expect("whole").path, Some(Text::from(&b""[..])));
        open.header.marks = Header::FAULT;
        assert_eq!(told(&record(open, b""), 0).expect("whole").path, None);
    }

    #[test]
    fn a_short_record_is_none() {
        let open = Open { path_len: 4, ..Open::default() };
        assert!(told(&record(open, b"/tm"), 0).is_none());
        assert!(told(&[0; 111], 0).is_none());
    }
}
