//! The task that runs a program: the filter's view of it, and how it called the kernel.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated::bpf_get_current_task,
};
use ebpflab_common::filter::{COMM_LEN, Task};

use crate::kernel;

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

/// Whether the current system call came through the 32-bit interface. `None` where the kernel does not say.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn is_compat() -> Option<bool> {
    /// arch/x86/include/asm/thread_info.h; also set for `int 0x80` from a 64-bit program.
    const TS_COMPAT: u32 = 0x2;
    let status: u32 = kernel::read(task(), kernel::task_struct_thread_info_status())?;
    Some(status & TS_COMPAT != 0)
}

/// Whether the current system call came through the 32-bit interface. `None` where the kernel does not say.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn is_compat() -> Option<bool> {
    /// arch/arm64/include/asm/thread_info.h
    const TIF_32BIT: u64 = 1 << 22;
    let flags: u64 = kernel::read(task(), kernel::task_struct_thread_info_flags())?;
    Some(flags & TIF_32BIT != 0)
}

/// `struct task_struct` of the current task.
#[inline(always)]
fn task() -> *const u8 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_get_current_task() as *const u8 }
}
