//! The system call that the current task is in, as the raw tracepoints `sys_enter` and `sys_exit` show it.

use aya_ebpf::{Global, programs::TracePointContext};
use ebpflab_common::syscall::Syscall;

use ebpflab_ebpf::{kernel, task::task};

/// Which of the open calls a number means for the current task. Most numbers are in no table, which is settled
/// without a look at the task.
#[inline(always)]
pub(crate) fn opens(nr: u64) -> Option<Syscall> {
    #[cfg(bpf_target_arch = "x86_64")]
    let (native, compat) = (Syscall::x86_64(nr), Syscall::i386(nr));
    #[cfg(bpf_target_arch = "aarch64")]
    let (native, compat) = (Syscall::aarch64(nr), Syscall::arm(nr));
    if native.is_none() && compat.is_none() {
        return None;
    }
    match is_compat() {
        Some(true) => compat,
        Some(false) | None => native,
    }
}

/// Whether the current system call came through the 32-bit interface. `None` where the kernel does not say.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn is_compat() -> Option<bool> {
    /// arch/x86/include/asm/thread_info.h; also set for `int 0x80` from a 64-bit program.
    const TS_COMPAT: u32 = 0x2;
    let status: u32 = kernel::read(task(), kernel::task_struct_thread_info_status())?;
    Some(status & TS_COMPAT != 0)
}

/// Whether the current system call came through the 32-bit interface. `None` where the kernel does not say.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn is_compat() -> Option<bool> {
    /// arch/arm64/include/asm/thread_info.h
    const TIF_32BIT: u64 = 1 << 22;
    let flags: u64 = kernel::read(task(), kernel::task_struct_thread_info_flags())?;
    Some(flags & TIF_32BIT != 0)
}

/// Offset of `ret` in a `sys_exit_*` record, from the format file.
#[unsafe(no_mangle)]
static SYS_EXIT_RET: Global<u32> = Global::new(16);

/// The result in a `sys_exit_*` record.
#[inline(always)]
pub(crate) fn tp_ret(ctx: &TracePointContext) -> Option<i64> {
    // SAFETY: a checked read of the record.
    unsafe { ctx.read_at(SYS_EXIT_RET.load() as usize) }.ok()
}
