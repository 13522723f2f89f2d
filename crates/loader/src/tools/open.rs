//! `open`: every call of open, creat, openat and openat2, when it returns.

use ebpflab_common::{
    event::{self, Header},
    open::{Open, PATH_LEN},
};

use super::{EventOptions, Needs, buffer_size, kernel_release, ring::RingSource};
use crate::{
    bpf::{Object, Opener, Target},
    error::Result,
    hooks::{self, EXITS, Kind, Way},
    objects, privilege,
    records::{Attached, Event, OpenEvent},
    schema::{Optional, Text},
    session::{Session, Tool},
    tracefs,
};

/// Bytes of the ring buffer unless the user asks for another number.
const BUFFER: u64 = 4 << 20;

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
    let (mut object, buffer) = open(options)?;
    let hooked = hooks::attach(&mut object, "open", &ways(), options.hook)?;
    let opens = RingSource::new(&mut object, |record, offset| event(record, offset).map(Event::Open), false)?;
    let attached = Attached {
        command: "open".to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: Some(buffer.into()),
        kernel: kernel_release(),
        mode: Optional(None),
    };
    Session::start(object, Tool::Source(Box::new(opens)), attached)
}

/// The object with its maps, and the size of its buffer.
fn open(options: &EventOptions) -> Result<(Object, u32)> {
    let filter = options.only.filter()?;
    needs().check_privileges()?;
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), size_of::<Open>() + PATH_LEN)?;
    let opener = Opener::new(objects::OPEN).global("FILTER", filter).max_entries("EVENTS", buffer);
    Ok((with_offsets(opener).open()?, buffer))
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

/// The ways in the order of preference. The trampoline at the return has the arguments too, so nothing has to be
/// remembered; the others remember the call at its entry. After a kprobe the return comes from a raw tracepoint: a
/// kretprobe, which has to be asked for, loses returns while many calls are blocked.
pub(super) fn ways() -> Vec<Way> {
    const OPEN: &str = "do_sys_openat2";
    const IN_FUNCTION: &[&str] = &["io_uring", "invalid_how"];
    let way = |kind, programs, blind_to| Way { kind, programs, blind_to };
    let sys_exit = ("open_sys_exit", Target::RawTracepoint("sys_exit".into()));
    let entries = [
        ("open_tp_open", "sys_enter_open"),
        ("open_tp_creat", "sys_enter_creat"),
        ("open_tp_openat", "sys_enter_openat"),
        ("open_tp_openat2", "sys_enter_openat2"),
    ];
    vec![
        way(Kind::Fentry, vec![("open_fexit", Target::Fexit(OPEN.into()))], IN_FUNCTION),
        way(Kind::Kprobe, vec![("open_kprobe", Target::Kprobe(OPEN.into())), sys_exit.clone()], IN_FUNCTION),
        way(
            Kind::Kretprobe,
            vec![("open_kprobe", Target::Kprobe(OPEN.into())), ("open_kretprobe", Target::Kretprobe(OPEN.into()))],
            IN_FUNCTION,
        ),
        way(
            Kind::RawTracepoint,
            vec![("open_sys_enter", Target::RawTracepoint("sys_enter".into())), sys_exit],
            &["io_uring"],
        ),
        way(
            Kind::Tracepoint,
            [hooks::each(entries), hooks::on_each("open_tp_exit", EXITS)].concat(),
            &["io_uring", "compat"],
        ),
    ]
}

pub(super) fn event(record: &[u8], clock_offset: u64) -> Option<OpenEvent> {
    let (open, rest) = event::split::<Open>(record)?;
    let path = rest.get(..open.path_len as usize)?;
    let header = &open.header;
    Some(OpenEvent {
        time: header.time + clock_offset,
        cpu: header.cpu,
        pid: header.pid,
        tid: header.tid,
        uid: header.uid,
        gid: header.gid,
        comm: Text(header.comm().to_vec()),
        cgroup: header.cgroup,
        path: (!header.has(Header::FAULT)).then(|| Text(path.to_vec())),
        path_truncated: header.has(Header::TRUNCATED),
        dirfd: open.dirfd,
        flags: open.flags,
        mode: open.mode,
        ret: open.ret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(open: Open, rest: &[u8]) -> Vec<u8> {
        // SAFETY: plain integers.
        let fixed = unsafe { std::slice::from_raw_parts((&raw const open).cast::<u8>(), size_of::<Open>()) };
        [fixed, rest].concat()
    }

    #[test]
    fn reads_no_further_than_the_record_says() {
        let open = Open { path_len: 4, ret: -2, ..Open::default() };
        let event = event(&record(open, b"/tmpold bytes"), 1_000).expect("a whole record");
        assert_eq!(event.path, Some(Text(b"/tmp".to_vec())));
        assert_eq!((event.time, event.ret, event.path_truncated), (1_000, -2, false));
    }

    #[test]
    fn a_path_that_could_not_be_read_is_not_an_empty_one() {
        let mut open = Open::default();
        assert_eq!(event(&record(open, b""), 0).expect("whole").path, Some(Text(Vec::new())));
        open.header.marks = Header::FAULT;
        assert_eq!(event(&record(open, b""), 0).expect("whole").path, None);
    }

    #[test]
    fn a_short_record_is_none() {
        let open = Open { path_len: 4, ..Open::default() };
        assert!(event(&record(open, b"/tm"), 0).is_none());
        assert!(event(&[0; 79], 0).is_none());
    }
}
