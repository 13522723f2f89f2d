//! A process and its descendants, which programs follow from the moment when they are attached
//! (crates/ebpf/src/filter.rs).

use std::fs;

use crate::{
    bpf::{Object, Target},
    error::{Error, Result},
    records::Hook,
};

/// The ids of the processes in the tree.
const MAP: &str = "TREE";
/// Two that do the same, for each tracepoint.
const PROGRAMS: [([&str; 2], &str); 2] = [
    (["tree_fork", "tree_fork_again"], "sched_process_fork"),
    (["tree_exit", "tree_exit_again"], "sched_process_exit"),
];

/// Most processes that are followed at a time: as many as there may be at all, within reason.
pub(super) fn room() -> u32 {
    const MOST: u32 = 65_536;
    let most = fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|most| most.trim().parse().ok());
    most.unwrap_or(MOST).min(MOST)
}

/// Whether there is a process of that id.
///
/// # Errors
/// [`Error::InvalidArgument`] if there is none.
pub(super) fn check(pid: u32) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse::<u32>().ok());
    match process {
        Some(process) if process == pid => Ok(()),
        Some(process) => Err(Error::InvalidArgument(format!("{pid} is a thread of process {process}, and no process"))),
        None => Err(gone(pid)),
    }
}

fn gone(pid: u32) -> Error {
    Error::InvalidArgument(format!("there is no process {pid}"))
}

/// Attaches the programs and fills the map. They come after the tool's own: what that says about the end of a process
/// it says before the process is forgotten, since the kernel calls programs in the order of their attaching.
///
/// # Errors
/// [`Error::InvalidArgument`] if the process is gone; what attaching gives.
pub(super) fn follow(object: &mut Object, pid: u32) -> Result<Vec<Hook>> {
    let mut hooks = Vec::new();
    for (programs, tracepoint) in PROGRAMS {
        let target = Target::RawTracepoint(tracepoint.into());
        object.attach_both(programs, &target)?;
        hooks.extend(programs.map(|program| Hook {
            program: program.to_owned(),
            kind: target.kind().to_owned(),
            target: target.to_string(),
            reason: "asked for".to_owned(),
        }));
    }
    if !add(object, pid)? {
        return Err(gone(pid));
    }
    // Who is forked by a process of the tree from here on is added by the program. Who was forked before is found by the
    // parent; a pass that finds nobody new came after the last one was added.
    while pass(object)? {}
    Ok(hooks)
}

/// Adds the children of those in the tree; whether there was a new one.
fn pass(object: &mut Object) -> Result<bool> {
    let mut found = false;
    let processes = fs::read_dir("/proc").map_err(Error::os("read /proc"))?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let Some(process) = Process::read(pid) else { continue };
        if !object.has_key(MAP, pid)? && object.has_key(MAP, process.parent)? {
            found |= add(object, pid)?;
        }
    }
    Ok(found)
}

/// Adds a process, unless it has ended: then nobody would take it out again, and its id may become another's.
fn add(object: &mut Object, pid: u32) -> Result<bool> {
    let Some(before) = Process::read(pid) else { return Ok(false) };
    object.insert(MAP, pid, 0_u8)?;
    let lives = Process::read(pid).is_some_and(|now| now.start == before.start && !now.ends);
    if !lives {
        object.remove::<u32, u8>(MAP, pid)?;
    }
    Ok(lives)
}

/// What /proc/PID/stat says (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// In clock ticks since boot: another process of the same id has another one.
    start: u64,
    /// Whether it is ending, or has ended and nobody has asked for its status.
    ends: bool,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &[u8]) -> Option<Self> {
        /// include/linux/sched.h
        const PF_EXITING: u64 = 0x4;
        // The name, in brackets, may have any bytes in it.
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<_> = str::from_utf8(&stat[name_end + 1..]).ok()?.split_whitespace().collect();
        // The first one is the third of the manual page.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let leader_ends = matches!(*fields.first()?, "Z" | "X") || number(9)? & PF_EXITING != 0;
        Some(Self { parent: number(4)?.try_into().ok()?, start: number(22)?, ends: leader_ends && number(20)? <= 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_hide_its_parent() {
        let stat = |state, flags, threads| {
            let line = format!("7 (a) Z 1 (b) {state} 5 7 7 0 -1 {flags} 1 0 0 0 0 0 0 0 20 0 {threads} 0 4242 1 1\n");
            Process::parse(line.as_bytes()).expect("a whole line")
        };
        assert_eq!(stat("S", 4_194_560, 1), Process { parent: 5, start: 4_242, ends: false });
        assert!(stat("Z", 4_194_560, 1).ends && stat("R", 4_194_564, 1).ends);
        assert!(!stat("Z", 4_194_560, 2).ends, "its other threads go on");
        assert_eq!(Process::parse(b"7 (a"), None);
    }

    #[test]
    fn there_is_this_process_and_no_other_of_a_large_id() {
        let own = std::process::id();
        assert!(check(own).is_ok());
        assert_eq!(Process::read(own).map(|process| process.parent), Some(std::os::unix::process::parent_id()));
        // Above the largest pid there can be (PID_MAX_LIMIT).
        let error = check(4_194_305).expect_err("there is none").to_string();
        assert_eq!(error, "there is no process 4194305");
    }
}
