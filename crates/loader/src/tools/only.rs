//! Whose events a tool is asked for: the filter that runs in the kernel.

use std::os::unix::fs::MetadataExt as _;

use ebpflab_common::filter::{COMM_LEN, Filter};

use crate::error::{Error, Result};

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
}

impl Only {
    /// The filter as the kernel has it.
    pub(crate) fn filter(&self) -> Result<Filter> {
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
        filter = Filter { pid, tid, uid, not_pid, ..filter };
        let by_pid = Filter::PID | Filter::TID | Filter::NOT_PID;
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
        };
        let filter = only.filter().expect("a valid filter");
        let all = Filter::PID | Filter::TID | Filter::UID | Filter::COMM | Filter::NOT_PID | Filter::FAILED;
        let comm = *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(filter, Filter { wanted: all, pid: 1, tid: 2, uid: 0, not_pid: 4, comm });
        assert_eq!(Only::default().filter().expect("no filter"), Filter::default());
    }

    #[test]
    fn a_name_that_no_thread_can_have_is_refused() {
        let named = |comm: &[u8]| Only { comm: Some(comm.to_vec()), ..Only::default() }.filter();
        assert!(named(b"fifteen-bytes-x").is_ok());
        assert!(matches!(named(b"sixteen-bytes-xx"), Err(Error::InvalidArgument(_))));
    }
}
