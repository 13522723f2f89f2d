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

/// What a filter asks of groups of tasks, which maps hold.
pub trait Groups {
    /// Whether a process is in the tree that was asked for.
    fn in_tree(&self, pid: u32) -> bool;
    /// Whether the current task is in the cgroup that was asked for, or below it.
    fn in_cgroup(&self) -> bool;
    /// The same, where that is a cgroup of a v1 hierarchy.
    fn in_v1_cgroup(&self, controller: u32) -> bool;
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
    /// The controller of the v1 hierarchy, as the kernel numbers them.
    pub controller: u32,
}

const _: () = assert!(size_of::<Filter>() == 40);
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
    /// Keep one process and its descendants.
    pub const TREE: u32 = 1 << 6;
    /// Keep one cgroup and those below it.
    pub const CGROUP: u32 = 1 << 7;
    /// The same in the v1 hierarchy that has `controller`.
    pub const V1_CGROUP: u32 = 1 << 8;
    /// Keep files whose whole path begins with a [`PathPrefix`] (not looked at by [`Filter::accepts`]).
    pub const PATH_PREFIX: u32 = 1 << 9;

    /// Whether a condition counts.
    #[inline(always)]
    pub fn wants(&self, condition: u32) -> bool {
        self.wanted & condition != 0
    }

    /// Whether the task meets every condition that counts.
    #[inline(always)]
    pub fn accepts(&self, task: &impl Task, groups: &impl Groups) -> bool {
        if self.wants(Self::PID | Self::TID | Self::NOT_PID | Self::TREE) {
            let (pid, tid) = task.pid_tid();
            if self.wants(Self::PID) && pid != self.pid
                || self.wants(Self::TID) && tid != self.tid
                || self.wants(Self::NOT_PID) && pid == self.not_pid
                || self.wants(Self::TREE) && !groups.in_tree(pid)
            {
                return false;
            }
        }
        if self.wants(Self::CGROUP) && !groups.in_cgroup()
            || self.wants(Self::V1_CGROUP) && !groups.in_v1_cgroup(self.controller)
        {
            return false;
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

/// How a whole path has to begin: the value of the map `PATH_PREFIX`. Compared by words, since a loop over bytes is long
/// to the verifier.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    text: [u64; Self::WORDS],
    /// All ones where `text` has a byte.
    mask: [u64; Self::WORDS],
    len: u64,
}

const _: () = assert!(size_of::<PathPrefix>() == 2 * PathPrefix::SIZE + 8);
crate::pod!(PathPrefix);

impl PathPrefix {
    /// Words of a path that are compared.
    pub const WORDS: usize = 32;
    /// The same in bytes.
    pub const SIZE: usize = Self::WORDS * size_of::<u64>();
    /// Longest prefix in bytes.
    pub const LONGEST: usize = Self::SIZE - 1;

    /// `None` for a prefix that is too long.
    pub fn new(prefix: &[u8]) -> Option<Self> {
        if prefix.len() > Self::LONGEST {
            return None;
        }
        let (mut text, mut mask) = ([0; Self::WORDS], [0; Self::WORDS]);
        for (index, bytes) in prefix.chunks(size_of::<u64>()).enumerate() {
            let (mut of_text, mut of_mask) = ([0; 8], [0; 8]);
            of_text[..bytes.len()].copy_from_slice(bytes);
            of_mask[..bytes.len()].fill(0xff);
            (text[index], mask[index]) = (u64::from_ne_bytes(of_text), u64::from_ne_bytes(of_mask));
        }
        Some(Self { text, mask, len: prefix.len() as u64 })
    }

    /// Whether a path of that length begins with it. `start` has the first bytes of the path; what is in it after the
    /// path's end does not matter.
    #[inline(always)]
    pub fn matches(&self, start: &[u64; Self::WORDS], len: u32) -> bool {
        let mut different = 0;
        for ((text, mask), word) in self.text.iter().zip(&self.mask).zip(start) {
            different |= (text ^ word) & mask;
        }
        different == 0 && u64::from(len) >= self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Groups for Fixed {
        fn in_tree(&self, pid: u32) -> bool {
            assert_eq!(pid, 100);
            true
        }
        fn in_cgroup(&self) -> bool {
            true
        }
        fn in_v1_cgroup(&self, controller: u32) -> bool {
            controller == 4
        }
    }
    struct Nowhere;
    impl Groups for Nowhere {
        fn in_tree(&self, _pid: u32) -> bool {
            false
        }
        fn in_cgroup(&self) -> bool {
            false
        }
        fn in_v1_cgroup(&self, _controller: u32) -> bool {
            false
        }
    }
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
        let comm = *b"worker\0\0\0\0\0\0\0\0\0\0";
        let mut filter = Filter { wanted, pid: 100, tid: 101, uid: 7, not_pid: 1, comm, controller: 4 };
        change(&mut filter);
        filter.accepts(&Fixed, &Fixed)
    }

    const GROUPS: u32 = Filter::TREE | Filter::CGROUP | Filter::V1_CGROUP;
    const ALL: u32 = Filter::PID | Filter::TID | Filter::UID | Filter::COMM | Filter::NOT_PID | GROUPS;

    #[test]
    fn keeps_what_meets_every_condition() {
        assert!(accepts(ALL, |_| ()));
        assert!(Filter::default().accepts(&Fixed, &Nowhere), "no condition keeps everything");
    }

    #[test]
    fn one_condition_that_fails_is_enough() {
        assert!(!accepts(ALL, |f| f.pid = 99));
        assert!(!accepts(ALL, |f| f.tid = 100));
        assert!(!accepts(ALL, |f| f.uid = 0));
        assert!(!accepts(ALL, |f| f.not_pid = 100));
        assert!(!accepts(ALL, |f| f.comm[6] = b's'));
        assert!(!accepts(ALL, |f| f.comm[15] = b'x'));
        assert!(!accepts(ALL, |f| f.controller = 5));
        for wanted in [Filter::TREE, Filter::CGROUP, Filter::V1_CGROUP] {
            assert!(!Filter { wanted, controller: 4, ..Filter::default() }.accepts(&Fixed, &Nowhere));
        }
    }

    #[test]
    fn a_condition_that_is_not_wanted_does_not_count() {
        assert!(accepts(ALL & !Filter::PID, |f| f.pid = 99));
        assert!(accepts(ALL & !Filter::TID, |f| f.tid = 99));
        assert!(accepts(ALL & !Filter::UID, |f| f.uid = 99));
        assert!(accepts(ALL & !Filter::COMM, |f| f.comm[0] = 0));
        assert!(accepts(ALL & !Filter::NOT_PID, |f| f.not_pid = 100));
    }

    /// The first bytes of a path, with others after its end.
    fn start(path: &[u8]) -> [u64; PathPrefix::WORDS] {
        let mut bytes = [b'/'; PathPrefix::SIZE];
        let len = path.len().min(bytes.len());
        bytes[..len].copy_from_slice(&path[..len]);
        std::array::from_fn(|index| u64::from_ne_bytes(*bytes[8 * index..].first_chunk().expect("a word")))
    }

    #[test]
    fn a_path_begins_with_its_beginnings_and_with_nothing_else() {
        let path: Vec<u8> = (0..400).map(|number| b"/abc"[number % 4] + (number / 100) as u8).collect();
        for len in [1, 7, 8, 9, 250, 254, 255, 256, 300, 400] {
            let path = &path[..len];
            let matches =
                |prefix: &[u8]| PathPrefix::new(prefix).expect("short enough").matches(&start(path), path.len() as u32);
            assert!(matches(b""));
            for end in 1..=len.min(PathPrefix::LONGEST) {
                assert!(matches(&path[..end]), "{end} of {len}");
                let mut other = path[..end].to_vec();
                other[end - 1] ^= 1;
                assert!(!matches(&other), "{end} of {len}");
            }
            if len < PathPrefix::LONGEST {
                // The byte after the path's end is one of those that the buffer has there.
                assert!(!matches(&[path, b"/"].concat()), "longer than {len}");
            }
        }
        assert_eq!(PathPrefix::new(&[b'/'; 256]), None);
    }
}
