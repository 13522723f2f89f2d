//! Whose events a tool is asked for: the filter that runs in the kernel.

use std::{
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::PathBuf,
};

use ebpflab_common::filter::{COMM_LEN, Filter, PathPrefix};

use super::tree;
use crate::{
    bpf::{Object, Opener},
    cgroups::{self, Group},
    containers,
    error::{Error, Result},
    records::Hook,
};

/// Conditions that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// Only this process.
    pub pid: Option<u32>,
    /// Only this thread.
    pub tid: Option<u32>,
    /// Only this real user id.
    pub uid: Option<u32>,
    /// Only threads of this name; at most 15 bytes.
    pub comm: Option<Vec<u8>>,
    /// Not this process.
    pub not_pid: Option<u32>,
    /// Only what failed.
    pub failed: bool,
    /// Only this process and its descendants.
    pub tree: Option<u32>,
    /// Only this cgroup and those below it: a directory, or a path that starts at the mount of v2.
    pub cgroup: Option<PathBuf>,
    /// Only this container, by id, the first four or more digits of that, or name; not together with `cgroup`.
    pub container: Option<String>,
    /// Only files whose whole path begins so; at most 255 bytes. For tools that have opened files.
    pub path_prefix: Option<Vec<u8>>,
}

/// The filter as the kernel has it: what is known before the programs are there.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    filter: Filter,
    tree: Option<u32>,
    group: Option<Group>,
    path_prefix: Option<PathPrefix>,
}

impl Keep {
    /// Sets what is set before the programs are loaded.
    pub(crate) fn opener<'a>(&self, opener: Opener<'a>) -> Opener<'a> {
        let mut opener = opener.global("FILTER", self.filter);
        if self.tree.is_some() {
            opener = opener.max_entries("TREE", tree::room());
        }
        if let Some(Group::V1 { ids, .. }) = &self.group {
            opener = opener.max_entries("V1_CGROUPS", ids.len() as u32);
        }
        opener
    }

    /// The id of the cgroup of v2 that is asked for, or 0: for programs that ask about other tasks than the current one.
    pub(crate) fn v2_cgroup_id(&self) -> u64 {
        let Some(Group::V2(directory)) = &self.group else { return 0 };
        // The kernel numbers the directories of that file system so.
        nix::sys::stat::fstat(directory).map_or(0, |directory| directory.st_ino)
    }

    /// Fills the maps.
    ///
    /// # Errors
    /// What writing to maps gives.
    pub(crate) fn fill(&self, object: &mut Object) -> Result<()> {
        if let Some(prefix) = self.path_prefix {
            object.set_value("PATH_PREFIX", prefix)?;
        }
        match &self.group {
            None => Ok(()),
            Some(Group::V2(directory)) => object.set_cgroup("CGROUP", directory.as_fd()),
            Some(Group::V1 { ids, .. }) => ids.iter().try_for_each(|id| object.insert("V1_CGROUPS", *id, 0_u8)),
        }
    }

    /// Follows the tree, if one is asked for. The tool's own programs are attached by now.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if its first process is gone; what attaching gives.
    pub(crate) fn follow(&self, object: &mut Object, hooks: &mut Vec<Hook>) -> Result<()> {
        if let Some(pid) = self.tree {
            hooks.extend(tree::follow(object, pid)?);
        }
        Ok(())
    }
}

impl Only {
    /// Looks up what the conditions name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what there is not, or cannot be.
    pub(crate) fn prepare(&self) -> Result<Keep> {
        let mut filter = self.filter()?;
        if let Some(pid) = self.tree {
            tree::check(pid)?;
        }
        let group = match (&self.cgroup, &self.container) {
            (None, None) => None,
            (Some(path), None) => Some(cgroups::find(path)?),
            (None, Some(container)) => Some(containers::find(container)?),
            (Some(_), Some(_)) => {
                let reason = "a container is a cgroup: only one of the two can be asked for";
                return Err(Error::InvalidArgument(reason.to_owned()));
            }
        };
        match group {
            None => {}
            Some(Group::V2(_)) => filter.wanted |= Filter::CGROUP,
            Some(Group::V1 { controller, .. }) => {
                filter.wanted |= Filter::V1_CGROUP;
                filter.controller = controller;
            }
        }
        let path_prefix = self.path_prefix.as_deref().map(path_prefix).transpose()?;
        Ok(Keep { filter, tree: self.tree, group, path_prefix })
    }

    /// The conditions that need nothing but themselves.
    fn filter(&self) -> Result<Filter> {
        let mut filter = Filter::default();
        let mut want = |condition, value: Option<u32>| {
            if value.is_some() {
                filter.wanted |= condition;
            }
            value.unwrap_or(0)
        };
        let pid = want(Filter::PID, self.pid);
        let tid = want(Filter::TID, self.tid);
        let uid = want(Filter::UID, self.uid);
        let not_pid = want(Filter::NOT_PID, self.not_pid);
        want(Filter::FAILED, self.failed.then_some(0));
        want(Filter::TREE, self.tree);
        want(Filter::PATH_PREFIX, self.path_prefix.as_ref().map(|_| 0));
        filter = Filter { pid, tid, uid, not_pid, ..filter };
        let by_pid = Filter::PID | Filter::TID | Filter::NOT_PID | Filter::TREE;
        if filter.wants(by_pid) && !in_initial_pid_namespace() {
            let reason = "process and thread ids are those of the initial PID namespace, which this process is not in \
                          (run it with --pid=host, or without filters by id)";
            return Err(Error::InvalidArgument(reason.to_owned()));
        }
        if let Some(comm) = &self.comm {
            if comm.is_empty() || comm.contains(&0) {
                return Err(Error::InvalidArgument("no thread has an empty name, or one with a NUL in it".to_owned()));
            }
            if comm.len() >= COMM_LEN {
                let most = COMM_LEN - 1;
                let reason = format!("a thread's name has at most {most} bytes, this one has {}", comm.len());
                return Err(Error::InvalidArgument(reason));
            }
            filter.wanted |= Filter::COMM;
            filter.comm[..comm.len()].copy_from_slice(comm);
        }
        Ok(filter)
    }
}

fn path_prefix(prefix: &[u8]) -> Result<PathPrefix> {
    if prefix.is_empty() || prefix.contains(&0) {
        return Err(Error::InvalidArgument("no path begins with nothing, or has a NUL in it".to_owned()));
    }
    PathPrefix::new(prefix).ok_or_else(|| {
        let (most, len) = (PathPrefix::LONGEST, prefix.len());
        Error::InvalidArgument(format!("the beginning of a path may have at most {most} bytes, this one has {len}"))
    })
}

/// Whether the ids that this process knows are those that the programs see.
pub(crate) fn in_initial_pid_namespace() -> bool {
    /// `PROC_PID_INIT_INO`, include/linux/proc_ns.h
    const INITIAL: u64 = 0xefff_fffc;
    std::fs::metadata("/proc/self/ns/pid").map_or(true, |namespace| namespace.ino() == INITIAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_becomes_a_condition() {
        let only = Only {
            pid: Some(1),
            tid: Some(2),
            uid: Some(0),
            comm: Some(b"sh".to_vec()),
            not_pid: Some(4),
            failed: true,
            tree: Some(5),
            cgroup: None,
            container: None,
            path_prefix: Some(b"/etc/".to_vec()),
        };
        let filter = only.filter().expect("a valid filter");
        let ids = Filter::PID | Filter::TID | Filter::UID | Filter::NOT_PID | Filter::TREE;
        let all = ids | Filter::COMM | Filter::FAILED | Filter::PATH_PREFIX;
        let comm = *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(filter, Filter { wanted: all, pid: 1, tid: 2, uid: 0, not_pid: 4, comm, controller: 0 });
        assert_eq!(Only::default().filter().expect("no filter"), Filter::default());
    }

    #[test]
    fn a_name_that_no_thread_can_have_is_refused() {
        let named = |comm: &[u8]| Only { comm: Some(comm.to_vec()), ..Only::default() }.filter();
        assert!(named(b"fifteen-bytes-x").is_ok());
        assert!(matches!(named(b"sixteen-bytes-xx"), Err(Error::InvalidArgument(_))));
    }

    #[test]
    fn a_path_begins_with_something_that_is_not_too_long() {
        assert!(path_prefix(&[b'/'; 255]).is_ok());
        let told = |prefix: &[u8]| path_prefix(prefix).expect_err("no beginning").to_string();
        assert_eq!(told(&[b'/'; 256]), "the beginning of a path may have at most 255 bytes, this one has 256");
        assert_eq!(told(b""), told(b"/\0"));
    }
}
