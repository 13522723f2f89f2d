//! The task that runs a program.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated::bpf_get_current_task,
};
use ebpflab_common::filter::{COMM_LEN, Task};

/// The task on this CPU.
pub struct Current;

impl Task for Current {
    #[inline(always)]
    fn pid_tid(&self) -> (u32, u32) {
        let pid_tgid = bpf_get_current_pid_tgid();
        ((pid_tgid >> 32) as u32, pid_tgid as u32)
    }

    #[inline(always)]
    fn uid(&self) -> u32 {
        bpf_get_current_uid_gid() as u32
    }

    #[inline(always)]
    fn comm(&self) -> [u8; COMM_LEN] {
        bpf_get_current_comm().unwrap_or_default()
    }
}

/// `struct task_struct` of the current task.
#[inline(always)]
pub fn task() -> *const u8 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_get_current_task() as *const u8 }
}
