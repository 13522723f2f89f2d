//! Whose calls are counted apart, and how they are named.

use std::{collections::HashMap, fs, str::FromStr};

use ebpflab_common::{event::unpadded, who::Who};

use super::in_initial_pid_namespace;
use crate::{
    bpf::{Object, Opener},
    containers::{Locator, Source},
    error::{Error, Result},
    records::{Container, Hook},
    schema::Text,
};

/// What calls are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The system call.
    Call,
    /// The process.
    Pid,
    /// The name of the thread.
    Comm,
    /// The cgroup.
    Cgroup,
}

impl FromStr for By {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "syscall" => Ok(Self::Call),
            "pid" => Ok(Self::Pid),
            "comm" => Ok(Self::Comm),
            "cgroup" => Ok(Self::Cgroup),
            _ => Err(Error::InvalidArgument(format!("nothing is counted by {name}, but by pid, comm or cgroup"))),
        }
    }
}

/// The bits that programs take.
pub(super) fn bits(by: &[By], call: u32) -> u32 {
    let bit = |by: &By| match by {
        By::Call => call,
        By::Pid => Who::PID,
        By::Comm => Who::COMM,
        By::Cgroup => Who::CGROUP,
    };
    by.iter().map(bit).fold(0, |bits, bit| bits | bit)
}

/// A [`Who`] in words.
#[derive(Default)]
pub(super) struct Named {
    pub(super) pid: Option<u32>,
    pub(super) comm: Option<Text<'static>>,
    pub(super) cgroup: Option<u64>,
    pub(super) cgroup_path: Option<Text<'static>>,
    pub(super) container: Option<Container>,
}

/// Names those who call.
pub(super) struct Names {
    by: u32,
    /// Where cgroups are asked for.
    locator: Option<Locator>,
    /// Of processes, so that those that ended keep theirs.
    comms: HashMap<u32, Text<'static>>,
}

impl Names {
    /// Where the cgroups are from, for [`Names::attach`], and the object that knows it.
    ///
    /// # Errors
    /// What [`Source::choose`] gives.
    pub(super) fn opener(opener: Opener<'_>) -> Result<(Opener<'_>, Source)> {
        let source = Source::choose()?;
        Ok((source.opener(opener), source))
    }

    /// Has the kernel tell of new cgroups, if they are asked for.
    ///
    /// # Errors
    /// What [`Locator::attach`] gives.
    pub(super) fn attach(by: u32, source: Source, object: &mut Object, hooks: &mut Vec<Hook>) -> Result<Self> {
        let asked = by & Who::CGROUP != 0;
        let locator = if asked { Some(Locator::attach(source, object, hooks)?) } else { None };
        Ok(Self { by, locator, comms: HashMap::new() })
    }

    /// For a test.
    #[cfg(test)]
    pub(super) fn nobody() -> Self {
        Self { by: 0, locator: None, comms: HashMap::new() }
    }

    /// Before a reading.
    pub(super) fn update(&mut self) {
        if let Some(locator) = &mut self.locator {
            locator.update();
        }
    }

    pub(super) fn name(&mut self, who: &Who) -> Named {
        let mut named = Named::default();
        if self.by & Who::PID != 0 {
            named.pid = Some(who.pid);
            named.comm = self.process(who.pid);
        }
        if self.by & Who::COMM != 0 {
            named.comm = Some(unpadded(&who.comm).to_vec().into());
        }
        if let Some(locator) = &mut self.locator {
            let place = locator.place(who.cgroup);
            named.cgroup = Some(who.cgroup);
            named.cgroup_path = place.as_ref().map(|place| place.path.clone());
            named.container = place.and_then(|place| place.container.clone());
        }
        named
    }

    /// A process's name as it is now, or else was.
    fn process(&mut self, pid: u32) -> Option<Text<'static>> {
        if let Some(comm) = comm_of(pid) {
            self.comms.insert(pid, comm);
        }
        self.comms.get(&pid).cloned()
    }
}

/// The name of a process, from /proc.
pub(super) fn comm_of(pid: u32) -> Option<Text<'static>> {
    // Elsewhere /proc has other processes by these ids.
    if !in_initial_pid_namespace() {
        return None;
    }
    let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(comm.strip_suffix(b"\n").unwrap_or(&comm).to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_by_becomes_bits() {
        assert_eq!(bits(&[By::Call, By::Comm], 256), 256 | Who::COMM);
        assert_eq!(bits(&[By::Pid, By::Pid, By::Cgroup], 256), Who::PID | Who::CGROUP);
        assert!("uid".parse::<By>().is_err());
    }

    #[test]
    fn a_process_that_ended_keeps_its_name() {
        let mut names = Names { by: Who::PID, locator: None, comms: HashMap::new() };
        let own = names.name(&Who { pid: std::process::id(), ..Who::default() });
        assert!(own.comm.is_some() && own.cgroup.is_none());
        // Above the largest pid there can be (PID_MAX_LIMIT).
        let gone = 4_194_305;
        assert_eq!(names.name(&Who { pid: gone, ..Who::default() }).comm, None);
        names.comms.insert(gone, b"was".to_vec().into());
        assert_eq!(names.name(&Who { pid: gone, ..Who::default() }).comm, Some(b"was".to_vec().into()));
    }
}
