//! `count`: how many files each process opens.

use std::{collections::HashMap, time::Instant};

use super::{Keep, Needs, Only, attached, by::comm_of, max_entries, now};
use crate::{
    bpf::{Object, Opener, Target},
    error::Result,
    hooks::{self, ENTRIES, EXITS, Kind, Way},
    objects, privilege,
    records::{PidCount, PidReading, Reading},
    schema::Text,
    session::{Counter, Session, Tool},
    tracefs,
};

/// What to count.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose opens; failed ones are counted when they return.
    pub only: Only,
    /// Only this kind of hook.
    pub hook: Option<Kind>,
    /// Most processes to count; 10,240 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "count",
        operation: "tracing system calls",
        capabilities: privilege::TRACING,
        object: objects::COUNT,
        prepare: || open(&Options::default()).map(drop),
        ways: vec![("opens", ways(false))],
    }
}

/// Attaches and starts counting.
///
/// # Errors
/// [`Error::InvalidArgument`], [`Error::NotSupported`] where no hook works, [`Error::Privilege`].
pub fn attach(options: &Options) -> Result<Session> {
    let (mut object, keep) = open(options)?;
    let mut hooked = hooks::attach(&mut object, "count", &ways(options.only.failed), options.hook)?;
    keep.follow(&mut object, &mut hooked.hooks)?;
    Session::start(object, Tool::Counter(Box::new(Pids::default())), attached("count", hooked))
}

/// The object with its maps, and whose opens it counts.
fn open(options: &Options) -> Result<(Object, Keep)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    let mut opener = max_entries(keep.opener(Opener::new(objects::COUNT)), "COUNTS", options.max_entries)?;
    // Where tracefs is not to be read this way cannot be attached either.
    if let Ok(offset) = tracefs::field_offset("syscalls", "sys_exit_openat", "ret") {
        opener = opener.global("SYS_EXIT_RET", offset);
    }
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok((object, keep))
}

/// The ways in the order of preference: trampolines cost least, kprobes see 32-bit callers too, raw tracepoints run
/// at every system call but exist everywhere, tracepoints need tracefs and miss 32-bit callers.
fn ways(failed: bool) -> Vec<Way> {
    // All four calls come to this function, but for openat2 calls whose `struct open_how` is refused before.
    const OPEN: &str = "do_sys_openat2";
    const IO_URING: &[&str] = &["io_uring"];
    const IN_FUNCTION: &[&str] = &["io_uring", "invalid_how"];
    const NATIVE: &[&str] = &["io_uring", "compat"];
    let way = |kind, programs, blind_to| Way { kind, programs, tails: Vec::new(), blind_to };
    let kretprobe = way(Kind::Kretprobe, vec![("count_kretprobe", Target::Kretprobe(OPEN.into()))], IN_FUNCTION);
    if failed {
        return vec![
            way(Kind::Fentry, vec![("count_fexit", Target::Fexit(OPEN.into()))], IN_FUNCTION),
            kretprobe,
            way(Kind::RawTracepoint, vec![("count_sys_exit", Target::RawTracepoint("sys_exit".into()))], IO_URING),
            way(Kind::Tracepoint, hooks::on_each("count_tp_exit", EXITS), NATIVE),
        ];
    }
    vec![
        way(Kind::Fentry, vec![("count_fentry", Target::Fentry(OPEN.into()))], IN_FUNCTION),
        way(Kind::Kprobe, vec![("count_kprobe", Target::Kprobe(OPEN.into()))], IN_FUNCTION),
        kretprobe,
        way(Kind::RawTracepoint, vec![("count_sys_enter", Target::RawTracepoint("sys_enter".into()))], IO_URING),
        way(Kind::Tracepoint, hooks::on_each("count_tp_enter", ENTRIES), NATIVE),
    ]
}

/// What the last reading saw.
struct Pids {
    last: HashMap<u32, Seen>,
    at: Instant,
}

struct Seen {
    count: u64,
    comm: Option<Text<'static>>,
}

impl Default for Pids {
    fn default() -> Self {
        Self { last: HashMap::new(), at: Instant::now() }
    }
}

impl Counter for Pids {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.hash_map::<u32, u64>("COUNTS")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        let mut counts: Vec<_> = entries.into_iter().map(|(pid, count)| self.row(pid, count, seconds)).collect();
        counts.sort_by_key(|row| (std::cmp::Reverse(row.count), row.pid));
        Ok(Reading::Pids(PidReading { time: now(), counts }))
    }
}

impl Pids {
    fn row(&mut self, pid: u32, count: u64, seconds: f64) -> PidCount {
        let seen = self.last.entry(pid).or_insert(Seen { count: 0, comm: None });
        let added = count - seen.count;
        if added > 0 {
            // A process that ended keeps the name it had.
            seen.comm = comm_of(pid).or_else(|| seen.comm.take());
            seen.count = count;
        }
        PidCount { pid, comm: seen.comm.clone(), count, rate: added as f64 / seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_names_follow_the_counts() {
        let own = std::process::id();
        let mut pids = Pids::default();
        let first = pids.row(own, 10, 2.0);
        assert_eq!((first.count, first.rate), (10, 5.0));
        assert!(first.comm.is_some(), "this process has a name");
        let second = pids.row(own, 10, 2.0);
        assert_eq!((second.rate, &second.comm), (0.0, &first.comm));
        // Above the largest pid there can be (PID_MAX_LIMIT).
        assert_eq!(pids.row(4_194_305, 1, 1.0).comm, None);
    }
}
