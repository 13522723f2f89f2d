//! The filter that runs in the kernel before anything is recorded: set as the global `FILTER` before load.

/// Bytes of a task's name, its closing NUL included (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// What a filter asks of the current task. Each answer costs a helper call, so only what is needed is asked.
pub trait Task {
    /// Process id (the kernel's tgid) and thread id (the kernel's pid), in the initial PID namespace.
    fn pid_tid(&self) -> (u32, u32);
    /// Real user id, in the initial user namespace.
    fn uid(&self) -> u32;
    /// Name of the thread, padded with NUL bytes.
    fn comm(&self) -> [u8; COMM_LEN];
}

/// Which tasks to keep. All conditions whose bit is set in `wanted` must hold.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Which of the conditions below count: the constants of this type, or-ed.
    pub wanted: u32,
    /// Process to keep.
    pub pid: u32,
    /// Thread to keep.
    pub tid: u32,
    /// User to keep.
    pub uid: u32,
    /// Process to leave out.
    pub not_pid: u32,
    /// Thread name to keep, padded with NUL bytes.
    pub comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<Filter>() == 36);
crate::pod!(Filter);

impl Filter {
    /// Keep one process.
    pub const PID: u32 = 1;
    /// Keep one thread.
    pub const TID: u32 = 1 << 1;
    /// Keep one user.
    pub const UID: u32 = 1 << 2;
    /// Keep threads of one name.
    pub const COMM: u32 = 1 << 3;
    /// Leave one process out.
    pub const NOT_PID: u32 = 1 << 4;
    /// Keep only what failed (the tool's own idea of failure; not looked at by [`Filter::accepts`]).
    pub const FAILED: u32 = 1 << 5;

    /// Whether a condition counts.
    #[inline(always)]
    pub fn wants(&self, condition: u32) -> bool {
        self.wanted & condition != 0
    }

    /// Whether the task meets every condition that counts.
    #[inline(always)]
    pub fn accepts(&self, task: &impl Task) -> bool {
        if self.wants(Self::PID | Self::TID | Self::NOT_PID) {
            let (pid, tid) = task.pid_tid();
            if self.wants(Self::PID) && pid != self.pid
                || self.wants(Self::TID) && tid != self.tid
                || self.wants(Self::NOT_PID) && pid == self.not_pid
            {
                return false;
            }
        }
        if self.wants(Self::UID) && task.uid() != self.uid {
            return false;
        }
        !self.wants(Self::COMM) || same_comm(&task.comm(), &self.comm)
    }
}

/// Compares as two words: a `memcmp` call would be a byte loop to the verifier.
#[inline(always)]
fn same_comm(a: &[u8; COMM_LEN], b: &[u8; COMM_LEN]) -> bool {
    u128::from_ne_bytes(*a) == u128::from_ne_bytes(*b)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Task for Fixed {
        fn pid_tid(&self) -> (u32, u32) {
            (100, 101)
        }
        fn uid(&self) -> u32 {
            7
        }
        fn comm(&self) -> [u8; COMM_LEN] {
            *b"worker\0\0\0\0\0\0\0\0\0\0"
        }
    }

    fn accepts(wanted: u32, change: impl Fn(&mut Filter)) -> bool {
        let mut filter =
            Filter { wanted, pid: 100, tid: 101, uid: 7, not_pid: 1, comm: *b"worker\0\0\0\0\0\0\0\0\0\0" };
        change(&mut filter);
        filter.accepts(&Fixed)
    }

    const ALL: u32 = Filter::PID | Filter::TID | Filter::UID | Filter::COMM | Filter::NOT_PID;

    #[test]
    fn keeps_what_meets_every_condition() {
        assert!(accepts(ALL, |_| ()));
        assert!(Filter::default().accepts(&Fixed), "no condition keeps everything");
    }

    #[test]
    fn one_condition_that_fails_is_enough() {
        assert!(!accepts(ALL, |f| f.pid = 99));
        assert!(!accepts(ALL, |f| f.tid = 100));
        assert!(!accepts(ALL, |f| f.uid = 0));
        assert!(!accepts(ALL, |f| f.not_pid = 100));
        assert!(!accepts(ALL, |f| f.comm[6] = b's'));
        assert!(!accepts(ALL, |f| f.comm[15] = b'x'));
    }

    #[test]
    fn a_condition_that_is_not_wanted_does_not_count() {
        assert!(accepts(ALL & !Filter::PID, |f| f.pid = 99));
        assert!(accepts(ALL & !Filter::TID, |f| f.tid = 99));
        assert!(accepts(ALL & !Filter::UID, |f| f.uid = 99));
        assert!(accepts(ALL & !Filter::COMM, |f| f.comm[0] = 0));
        assert!(accepts(ALL & !Filter::NOT_PID, |f| f.not_pid = 100));
    }
}
