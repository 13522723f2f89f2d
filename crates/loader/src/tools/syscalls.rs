//! `syscalls`: how often system calls are made, how they end, and how long they take.

use std::{collections::HashMap, time::Instant};

use ebpflab_common::syscalls::{BY_SYSCALL, Call, Key, Times};

use super::{
    Keep, Needs, Only, attached,
    by::{self, By, Named, Names},
    max_entries, now,
};
use crate::{
    bpf::{Object, Opener, Target},
    containers::Source,
    error::Result,
    hooks::{self, Kind, Way},
    names::{error_name, syscall},
    objects, privilege,
    records::{ErrorCount, Reading, SyscallCount, SyscallReading},
    session::{Counter, Session, Tool},
};

/// What to count.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose calls; or only those that fail.
    pub only: Only,
    /// What they are told apart by.
    pub by: Vec<By>,
    /// Most counters, one for each of these and each error; 10,240 unless told.
    pub max_entries: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { only: Only::default(), by: vec![By::Call], max_entries: None }
    }
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "syscalls",
        operation: "tracing system calls",
        capabilities: privilege::TRACING,
        object: objects::SYSCALLS,
        prepare: || open(&Options::default()).map(drop),
        ways: vec![("syscalls", ways())],
    }
}

/// Attaches and starts counting.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where the hook does not work, `Privilege`.
pub fn attach(options: &Options) -> Result<Session> {
    let (mut object, keep, source) = open(options)?;
    let mut hooked = hooks::attach(&mut object, "syscalls", &ways(), None)?;
    let by = by::bits(&options.by, BY_SYSCALL);
    let names = Names::attach(by, source, &mut object, &mut hooked.hooks)?;
    keep.follow(&mut object, &mut hooked.hooks)?;
    let syscalls = Syscalls { by, names, last: HashMap::new(), at: Instant::now() };
    Session::start(object, Tool::Counter(Box::new(syscalls)), attached("syscalls", hooked))
}

/// The object with its maps, whose calls it counts, and where cgroups are from.
fn open(options: &Options) -> Result<(Object, Keep, Source)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    let opener = keep.opener(Opener::new(objects::SYSCALLS)).global("BY", by::bits(&options.by, BY_SYSCALL));
    let (opener, source) = Names::opener(max_entries(opener, "TIMES", options.max_entries)?)?;
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok((object, keep, source))
}

/// The return first: a call that was made before both are there is not seen.
fn ways() -> Vec<Way> {
    let target = |name: &'static str| Target::RawTracepoint(name.into());
    let programs = vec![("syscalls_exit", target("sys_exit")), ("syscalls_enter", target("sys_enter"))];
    vec![Way { kind: Kind::RawTracepoint, programs, tails: Vec::new(), blind_to: &["io_uring"] }]
}

struct Syscalls {
    by: u32,
    names: Names,
    /// Calls of each at the last reading, and when that was.
    last: HashMap<Key, u64>,
    at: Instant,
}

impl Counter for Syscalls {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.per_cpu_hash_map::<Key, Times>("TIMES")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.names.update();
        let rows = rows(entries.into_iter().map(|(key, cpus)| (key, sum(&cpus))));
        let mut counts: Vec<_> = rows.into_iter().map(|(key, row)| self.count(&key, row, seconds)).collect();
        counts.sort_by(|one, other| {
            let key = |count: &SyscallCount| (count.abi, count.syscall.clone(), count.pid, count.cgroup);
            other.count.cmp(&one.count).then_with(|| key(one).cmp(&key(other)))
        });
        Ok(Reading::Syscalls(SyscallReading { time: now(), counts }))
    }

    fn pending(&self, object: &Object) -> Result<u64> {
        Ok(object.hash_map::<u64, Call>("CALLS")?.len() as u64)
    }
}

/// Calls that only differ in how they ended.
#[derive(Default)]
struct Row {
    all: Times,
    /// By number.
    errors: Vec<(u32, u64)>,
}

fn sum(cpus: &[Times]) -> Times {
    let mut sum = Times::default();
    cpus.iter().for_each(|cpu| sum.add(cpu));
    sum
}

/// Puts together what ended differently; the most frequent errors come first.
fn rows(entries: impl Iterator<Item = (Key, Times)>) -> HashMap<Key, Row> {
    let mut rows = HashMap::<Key, Row>::new();
    for (key, times) in entries {
        let row = rows.entry(Key { errno: 0, ..key }).or_default();
        row.all.add(&times);
        if key.errno != 0 {
            row.errors.push((key.errno, times.count));
        }
    }
    rows.values_mut().for_each(|row| row.errors.sort_by_key(|(errno, count)| (std::cmp::Reverse(*count), *errno)));
    rows
}

impl Syscalls {
    fn count(&mut self, key: &Key, row: Row, seconds: f64) -> SyscallCount {
        let before = self.last.insert(*key, row.all.count).unwrap_or(0);
        let Named { pid, comm, cgroup, cgroup_path, container } = self.names.name(&key.who);
        let is_told = self.by & BY_SYSCALL != 0;
        let (abi, name) = syscall(key.number, key.compat != 0);
        let errors: Vec<_> =
            row.errors.iter().map(|(errno, count)| ErrorCount { error: error_name(*errno), count: *count }).collect();
        SyscallCount {
            syscall: is_told.then_some(name),
            number: is_told.then_some(key.number),
            abi: is_told.then_some(abi),
            pid,
            comm,
            cgroup,
            cgroup_path,
            container,
            count: row.all.count,
            failed: errors.iter().map(|error| error.count).sum(),
            errors,
            total_ns: row.all.total_ns,
            max_ns: row.all.max_ns,
            rate: (row.all.count - before) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_put_together_whatever_their_errors() {
        let key = |number, errno| Key { number, errno, ..Key::default() };
        let times = |count, ns| Times { count, total_ns: count * ns, max_ns: ns };
        let entries = [
            (key(0, 0), times(5, 10)),
            (key(0, 2), times(1, 90)),
            (key(0, 13), times(3, 20)),
            (key(1, 0), times(2, 1)),
        ];
        let rows = rows(entries.into_iter());
        assert_eq!(rows.len(), 2);
        let row = &rows[&key(0, 0)];
        assert_eq!(row.all, Times { count: 9, total_ns: 200, max_ns: 90 });
        assert_eq!(row.errors, [(13, 3), (2, 1)]);
        assert!(rows[&key(1, 0)].errors.is_empty());
    }
}
