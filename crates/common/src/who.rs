//! Whose calls are counted apart: the part of a map's key that says so.

use crate::filter::{COMM_LEN, Task};

/// What calls are told apart by; what nobody asked for is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Who {
    /// Id of the cgroup.
    pub cgroup: u64,
    /// Name of the thread, padded with NUL bytes.
    pub comm: [u8; COMM_LEN],
    /// Process id.
    pub pid: u32,
    /// No padding that would not be initialised.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Who>() == 32);
crate::pod!(Who);

impl Who {
    /// By process.
    pub const PID: u32 = 1;
    /// By the name of the thread.
    pub const COMM: u32 = 1 << 1;
    /// By cgroup.
    pub const CGROUP: u32 = 1 << 2;

    /// The current task, as far as it was asked for.
    #[inline(always)]
    pub fn new(by: u32, task: &impl Task, cgroup: impl FnOnce() -> u64) -> Self {
        Self {
            cgroup: if by & Self::CGROUP != 0 { cgroup() } else { 0 },
            comm: if by & Self::COMM != 0 { task.comm() } else { [0; COMM_LEN] },
            pid: if by & Self::PID != 0 { task.pid_tid().0 } else { 0 },
            reserved: 0,
        }
    }
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
            unreachable!("nobody counts by user")
        }
        fn comm(&self) -> [u8; COMM_LEN] {
            *b"worker\0\0\0\0\0\0\0\0\0\0"
        }
    }

    #[test]
    fn only_what_was_asked_for_is_told_apart() {
        let who = |by| Who::new(by, &Fixed, || 7);
        assert_eq!(who(0), Who::default());
        assert_eq!(who(Who::PID), Who { pid: 100, ..Who::default() });
        assert_eq!(who(Who::COMM), Who { comm: Fixed.comm(), ..Who::default() });
        assert_eq!(who(Who::CGROUP), Who { cgroup: 7, ..Who::default() });
        let all = Who { cgroup: 7, comm: Fixed.comm(), pid: 100, reserved: 0 };
        assert_eq!(who(Who::PID | Who::COMM | Who::CGROUP), all);
    }
}
