//! What our own programs, and the processes that read from them, cost.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Instant,
};

use nix::unistd::{SysconfVar, sysconf};

use super::programs::{Stats, programs};
use crate::{
    error::Result,
    objects,
    records::{Cost, Program},
    schema::Text,
};

/// As long as it is there the kernel measures the runs of all programs.
pub struct Measured {
    stats: Stats,
    /// CPU time of the processes that hold programs of ours, in nanoseconds.
    before: BTreeMap<u32, u64>,
    at: Instant,
}

impl Measured {
    /// Has it begin.
    ///
    /// # Errors
    /// [`crate::error::Error`]: `Privilege`, `Os`.
    pub fn start() -> Result<Self> {
        let stats = Stats::start()?;
        let before = readers(&ours(programs()?));
        let before = before.into_iter().filter_map(|pid| Some((pid, Usage::read(pid)?.cpu_ns))).collect();
        Ok(Self { stats, before, at: Instant::now() })
    }

    /// Of each process that held programs of ours all the time, of what nobody holds, and of all together, since it
    /// began.
    ///
    /// # Errors
    /// As for [`programs`].
    pub fn costs(&self) -> Result<Vec<Cost>> {
        let programs = ours(self.stats.programs()?);
        let seconds = self.at.elapsed().as_secs_f64();
        let mut costs = Vec::new();
        for (pid, before) in &self.before {
            let Some(usage) = Usage::read(*pid) else { continue };
            let held = programs.iter().filter(|program| holds(program, *pid));
            let mut cost = of_programs("process", held, seconds);
            if cost.programs > 0 {
                cost.pid = Some(*pid);
                cost.comm = Some(usage.comm);
                cost.reader_percent = percent(usage.cpu_ns.saturating_sub(*before), seconds);
                cost.memory_bytes = usage.memory_bytes;
                costs.push(cost);
            }
        }
        let told: Vec<_> = costs.iter().filter_map(|cost| cost.pid).collect();
        let is_pinned = |program: &&Program| program.holders.is_empty();
        let pinned = of_programs("pinned", programs.iter().filter(is_pinned), seconds);
        if pinned.programs > 0 {
            costs.push(pinned);
        }
        // Without those that came meanwhile.
        let is_told =
            |program: &&Program| is_pinned(program) || program.holders.iter().any(|holder| told.contains(&holder.pid));
        let mut all = of_programs("all", programs.iter().filter(is_told), seconds);
        // Not `sum`, which makes -0 of nothing.
        all.reader_percent = costs.iter().map(|cost| cost.reader_percent).fold(0.0, |sum, each| sum + each);
        all.memory_bytes = costs.iter().map(|cost| cost.memory_bytes).sum();
        costs.push(all);
        Ok(costs)
    }
}

/// Those named like programs of our tools; nothing else tells them from others.
fn ours(mut programs: Vec<Program>) -> Vec<Program> {
    let names = objects::program_names();
    programs.retain(|program| names.contains(&program.name));
    programs
}

fn holds(program: &Program, pid: u32) -> bool {
    program.holders.iter().any(|holder| holder.pid == pid)
}

/// Processes that hold any of them.
fn readers(programs: &[Program]) -> BTreeSet<u32> {
    programs.iter().flat_map(|program| &program.holders).map(|holder| holder.pid).collect()
}

fn of_programs<'a>(of: &'static str, programs: impl Iterator<Item = &'a Program>, seconds: f64) -> Cost {
    let (mut count, mut runs, mut time_ns) = (0, 0, 0);
    for program in programs {
        count += 1;
        runs += program.run_count;
        time_ns += program.run_time_ns;
    }
    Cost {
        of,
        pid: None,
        comm: None,
        programs: count,
        seconds,
        runs,
        run_time_ns: time_ns,
        programs_percent: percent(time_ns, seconds),
        reader_percent: 0.0,
        memory_bytes: 0,
    }
}

/// Of one CPU.
fn percent(ns: u64, seconds: f64) -> f64 {
    ns as f64 / (seconds * 1e9) * 100.0
}

/// What a process took so far.
#[derive(Debug, PartialEq)]
struct Usage {
    comm: Text<'static>,
    cpu_ns: u64,
    memory_bytes: u64,
}

impl Usage {
    /// `None`: it is gone.
    fn read(pid: u32) -> Option<Self> {
        let unit = |name| sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok());
        let (ticks, page) = (unit(SysconfVar::CLK_TCK)?, unit(SysconfVar::PAGE_SIZE)?);
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?, ticks, page)
    }

    /// proc_pid_stat(5). A name may have any bytes in it, so the last bracket ends it.
    fn parse(stat: &[u8], ticks: u64, page: u64) -> Option<Self> {
        /// Of what follows the name, counted from the state.
        const UTIME: usize = 11;
        const STIME: usize = 12;
        const RSS: usize = 21;
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let start = stat.iter().position(|byte| *byte == b'(')?;
        let rest: Vec<_> = str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace().collect();
        let number = |index: usize| rest.get(index)?.parse::<u64>().ok();
        Some(Self {
            comm: stat.get(start + 1..end)?.to_vec().into(),
            cpu_ns: (number(UTIME)? + number(STIME)?) * (1_000_000_000 / ticks),
            memory_bytes: number(RSS)? * page,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_took_is_read_whatever_its_name() {
        let stat = b"4211 (a) b (c) S 1 4211 4211 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 7 9000 25 184 1 1";
        let expected = Usage { comm: b"a) b (c".to_vec().into(), cpu_ns: 2_000_000_000, memory_bytes: 25 * 4_096 };
        assert_eq!(Usage::parse(stat, 100, 4_096), Some(expected));
        assert_eq!(Usage::parse(b"4211 (sh) S 1", 100, 4_096), None);
        let own = Usage::read(std::process::id()).expect("it runs");
        assert!(own.memory_bytes > 100_000);
    }

    #[test]
    fn runs_are_a_part_of_a_cpu() {
        assert_eq!(percent(50_000_000, 2.0), 2.5);
        let cost = of_programs("all", [].into_iter(), 1.0);
        assert_eq!((cost.programs, cost.runs, cost.programs_percent), (0, 0, 0.0));
    }
}
