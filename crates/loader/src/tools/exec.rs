//! `exec`: every executed program.

use std::os::fd::BorrowedFd;

use ebpflab_common::{
    event::{self, Header},
    exec::{ARGS_LEN, Exec, FILENAME_LEN, arguments},
};

use super::{EventOptions, Needs, buffer_size, clock_offset, kernel_release};
use crate::{
    bpf::{Object, Opener, Perf, Target},
    error::Result,
    hooks::{self, Kind, Way},
    objects, privilege,
    records::{Attached, Event, ExecEvent},
    schema::{Optional, Text, Texts},
    session::{Session, Source, Tool},
    tracefs,
};

/// Bytes of each CPU's buffer unless the user asks for another number.
const BUFFER: u64 = 256 << 10;

/// Bytes of the largest record.
pub(super) const LARGEST: usize = size_of::<Exec>() + FILENAME_LEN + ARGS_LEN;

pub(super) fn needs() -> Needs {
    Needs {
        tool: "exec",
        operation: "tracing execs",
        capabilities: privilege::TRACING,
        object: objects::EXEC,
        prepare: || open(&EventOptions::default()).map(drop),
        ways: vec![("execs", ways())],
    }
}

/// Attaches and starts.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where no hook works, `Privilege`.
pub fn attach(options: &EventOptions) -> Result<Session> {
    let (mut object, perf, buffer) = open(options)?;
    let hooked = hooks::attach(&mut object, "exec", &ways(), options.hook)?;
    let attached = Attached {
        command: "exec".to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: Some(perf.fds().len() as u64 * u64::from(buffer)),
        kernel: kernel_release(),
        mode: Optional(None),
    };
    let execs = Execs { perf, clock_offset: clock_offset()? };
    Session::start(object, Tool::Source(Box::new(execs)), attached)
}

/// The object with its maps, its buffers, and the size of each.
fn open(options: &EventOptions) -> Result<(Object, Perf, u32)> {
    let filter = options.only.filter()?;
    needs().check_privileges()?;
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), LARGEST)?;
    let mut object = with_offsets(Opener::new(objects::EXEC).global("FILTER", filter)).open()?;
    let perf = object.take_perf("EVENTS", buffer as usize)?;
    Ok((object, perf, buffer))
}

/// Tells the programs what tracefs says about the record. Where it says nothing the tracepoint cannot be attached
/// either.
pub(super) fn with_offsets(opener: Opener<'_>) -> Opener<'_> {
    match tracefs::field_offset("sched", "sched_process_exec", "filename") {
        Ok(offset) => opener.global("FILENAME", offset),
        Err(_) => opener,
    }
}

/// The same event with its formatted record, whose attaching needs tracefs, or with its raw arguments.
pub(super) fn ways() -> Vec<Way> {
    const NAME: &str = "sched_process_exec";
    vec![
        Way {
            kind: Kind::Tracepoint,
            programs: vec![("exec_tp", Target::Tracepoint("sched".into(), NAME.into()))],
            tails: Vec::new(),
            blind_to: &[],
        },
        Way {
            kind: Kind::RawTracepoint,
            programs: vec![("exec_raw_tp", Target::RawTracepoint(NAME.into()))],
            tails: Vec::new(),
            blind_to: &[],
        },
    ]
}

struct Execs {
    perf: Perf,
    /// From the clock of the records to nanoseconds since the epoch.
    clock_offset: u64,
}

impl Source for Execs {
    /// All that there is: a perf buffer does not show a second time that something is in it. By time, since each CPU
    /// has a buffer of its own.
    fn drain(&mut self, _most: usize, take: &mut dyn FnMut(Event)) {
        let mut events = Vec::new();
        // A record that is no record is missing from `received`, and the ledger says so.
        self.perf.drain(|record| events.extend(event(record, self.clock_offset)));
        events.sort_by_key(|event| event.time);
        events.into_iter().map(Event::Exec).for_each(take);
    }

    /// An exec is one event, with nothing to come after it.
    fn pending(&self, _object: &Object, _kind: event::Kind) -> Result<u64> {
        Ok(0)
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.perf.fds()
    }
}

pub(super) fn event(record: &[u8], clock_offset: u64) -> Option<ExecEvent> {
    let (exec, rest) = event::split::<Exec>(record)?;
    let (filename, rest) = rest.split_at_checked(exec.filename_len as usize)?;
    let args = rest.get(..exec.args_len as usize)?;
    let header = &exec.header;
    // Which of the two could not be read shows in what is there: a file name is never empty, and there is at least
    // one argument on all kernels from 5.18 on.
    let fault = header.has(Header::FAULT);
    Some(ExecEvent {
        time: header.time + clock_offset,
        cpu: header.cpu,
        pid: header.pid,
        ns_pid: header.ns_pid,
        ppid: exec.ppid,
        uid: header.uid,
        gid: header.gid,
        comm: Text(header.comm().to_vec()),
        cgroup: header.cgroup,
        filename: (!fault || !filename.is_empty()).then(|| Text(filename.to_vec())),
        argv: (!fault || !args.is_empty()).then(|| Texts(arguments(args).map(<[u8]>::to_vec).collect())),
        argv_truncated: header.has(Header::TRUNCATED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(exec: Exec, rest: &[u8]) -> Vec<u8> {
        // SAFETY: plain integers.
        let fixed = unsafe { std::slice::from_raw_parts((&raw const exec).cast::<u8>(), size_of::<Exec>()) };
        [fixed, rest].concat()
    }

    #[test]
    fn strings_are_told_apart_by_their_lengths() {
        let exec = Exec { ppid: 7, filename_len: 7, args_len: 6, ..Exec::default() };
        let event = event(&record(exec, b"/bin/lsls\0-l\0 and padding"), 1_000).expect("a whole record");
        assert_eq!(event.filename, Some(Text(b"/bin/ls".to_vec())));
        assert_eq!(event.argv, Some(Texts(vec![b"ls".to_vec(), b"-l".to_vec()])));
        assert_eq!((event.ppid, event.time, event.argv_truncated), (7, 1_000, false));
    }

    #[test]
    fn what_could_not_be_read_is_none() {
        let mut exec = Exec { filename_len: 7, ..Exec::default() };
        assert_eq!(event(&record(exec, b"/bin/ls"), 0).expect("whole").argv, Some(Texts(vec![])));
        exec.header.marks = Header::FAULT;
        let event = event(&record(exec, b"/bin/ls"), 0).expect("whole");
        assert_eq!((event.argv, event.filename), (None, Some(Text(b"/bin/ls".to_vec()))));
    }
}
