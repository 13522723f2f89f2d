//! The system call that the current task is in, as the raw tracepoints `sys_enter` and `sys_exit` show it.

#[cfg(bpf_target_arch = "aarch64")]
use aya_ebpf::EbpfContext as _;
#[cfg(bpf_target_arch = "x86_64")]
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use ebpflab_common::{
    open::Call,
    syscall::{AcceptSyscall, ExecSyscall, Syscall, ends},
};

use crate::{
    kernel::{self, read},
    task::task,
};

/// Which of the open calls a number means for the current task. Most numbers are in no table, which is settled
/// without a look at the task.
#[inline(always)]
pub fn opens(nr: u64) -> Option<Syscall> {
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

/// The same for the calls that execute programs.
#[inline(always)]
pub fn execs(nr: u64) -> Option<ExecSyscall> {
    #[cfg(bpf_target_arch = "x86_64")]
    let (native, compat) = (ExecSyscall::x86_64(nr), ExecSyscall::i386(nr));
    #[cfg(bpf_target_arch = "aarch64")]
    let (native, compat) = (ExecSyscall::aarch64(nr), ExecSyscall::arm(nr));
    if native.is_none() && compat.is_none() {
        return None;
    }
    match is_compat() {
        Some(true) => compat,
        Some(false) | None => native,
    }
}

/// The same for the calls that accept a connection.
#[inline(always)]
pub fn accepts(nr: u64) -> Option<AcceptSyscall> {
    #[cfg(bpf_target_arch = "x86_64")]
    let (native, compat) = (AcceptSyscall::x86_64(nr), AcceptSyscall::i386(nr));
    #[cfg(bpf_target_arch = "aarch64")]
    let (native, compat) = (AcceptSyscall::aarch64(nr), AcceptSyscall::arm(nr));
    if native.is_none() && compat.is_none() {
        return None;
    }
    match is_compat() {
        Some(true) => compat,
        Some(false) | None => native,
    }
}

/// Whether a call, of which it is known through which interface it came, never returns.
#[inline(always)]
pub fn never_returns(nr: u64, is_compat: bool) -> bool {
    #[cfg(bpf_target_arch = "x86_64")]
    let (native, compat) = (ends::x86_64(nr), ends::i386(nr));
    #[cfg(bpf_target_arch = "aarch64")]
    let (native, compat) = (ends::aarch64(nr), ends::arm(nr));
    if is_compat { compat } else { native }
}

/// Whether the current system call came through the 32-bit interface. `None` where the kernel does not say.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn is_compat() -> Option<bool> {
    /// arch/x86/include/asm/thread_info.h; also set for `int 0x80` from a 64-bit program.
    const TS_COMPAT: u32 = 0x2;
    let status: u32 = read(task(), kernel::task_struct_thread_info_status())?;
    Some(status & TS_COMPAT != 0)
}

/// Whether the current system call came through the 32-bit interface. `None` where the kernel does not say.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn is_compat() -> Option<bool> {
    /// arch/arm64/include/asm/thread_info.h
    const TIF_32BIT: u64 = 1 << 22;
    let flags: u64 = read(task(), kernel::task_struct_thread_info_flags())?;
    Some(flags & TIF_32BIT != 0)
}

/// The number of the call that is returning.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn number(regs: *const u8) -> Option<u64> {
    read(regs, kernel::pt_regs_orig_ax())
}

/// The number of the call that is returning.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn number(regs: *const u8) -> Option<u64> {
    let nr: i32 = read(regs, kernel::pt_regs_syscallno())?;
    u64::try_from(nr).ok()
}

/// The address of the instruction that a kprobe is at; on x86_64 that of its second byte, since the first is the
/// breakpoint, also where ftrace is in its place.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn instruction(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a kprobe.
    unsafe { (*ctx.regs).rip }
}

/// The address of the instruction that a kprobe is at.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn instruction(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a kprobe.
    unsafe { (*ctx.as_ptr().cast::<aya_ebpf::bindings::user_pt_regs>()).pc }
}

/// Where the stack ends when a function is entered: the return address is on it.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn stack_at_entry(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a kprobe or uprobe.
    unsafe { (*ctx.regs).rsp }
}

/// The same address when that call has returned, which took the return address away.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn stack_at_return(ctx: &RetProbeContext) -> u64 {
    // SAFETY: the context of a kretprobe or uretprobe.
    unsafe { (*ctx.regs).rsp.wrapping_sub(size_of::<u64>() as u64) }
}

/// Where the stack ends when a function is entered.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn stack_at_entry(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a kprobe or uprobe.
    unsafe { (*ctx.as_ptr().cast::<aya_ebpf::bindings::user_pt_regs>()).sp }
}

/// The same address when that call has returned.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn stack_at_return(ctx: &RetProbeContext) -> u64 {
    // SAFETY: the context of a kretprobe or uretprobe.
    unsafe { (*ctx.as_ptr().cast::<aya_ebpf::bindings::user_pt_regs>()).sp }
}

/// Where the registers of a probe have an argument, from 0 on (the fourth of a system call is elsewhere). Those that
/// are not in a register are nowhere: the last one stands for them.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn argument_offset(number: u32) -> usize {
    // arch/x86/include/uapi/asm/ptrace.h: di, si, dx, cx, r8, r9.
    match number {
        0 => 14 * 8,
        1 => 13 * 8,
        2 => 12 * 8,
        3 => 11 * 8,
        4 => 9 * 8,
        _ => 8 * 8,
    }
}

/// Where the registers of a probe have an argument, from 0 on: x0, x1 and so on.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn argument_offset(number: u32) -> usize {
    number as usize * size_of::<u64>()
}

/// Where a function of a program that has just been entered will return to.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn return_address(ctx: &ProbeContext) -> Option<u64> {
    // SAFETY: the helper checks the address, it never faults.
    unsafe { bpf_probe_read_user(stack_at_entry(ctx) as *const u64) }.ok()
}

/// Where a function of a program that has just been entered will return to: the link register.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn return_address(ctx: &ProbeContext) -> Option<u64> {
    // SAFETY: the context of a uprobe.
    Some(unsafe { (*ctx.as_ptr().cast::<aya_ebpf::bindings::user_pt_regs>()).regs[30] })
}

/// The path of an open call that is returning; `None` where that is not to be seen any more.
#[inline(always)]
pub fn path_at_return(syscall: Syscall, regs: *const u8) -> Option<u64> {
    // There the first argument is where the result goes.
    if cfg!(bpf_target_arch = "aarch64") && matches!(syscall, Syscall::Open | Syscall::Creat) {
        return None;
    }
    Some(Call::new(syscall, arguments(regs)?).path)
}

/// The first four arguments. One read: the layout of the registers is what ptrace shows user space, and never
/// changes (arch/x86/include/uapi/asm/ptrace.h).
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn arguments(regs: *const u8) -> Option<[u64; 4]> {
    let [_, _, _, _, _, bx, _, r10, _, _, _, cx, dx, si, di] = read::<[u64; 15]>(regs, Some(0))?;
    if is_compat() == Some(true) {
        return Some([bx, cx, dx, si].map(|register| register & 0xffff_ffff));
    }
    Some([di, si, dx, r10])
}

/// The first four arguments: x0 to x3, which ptrace shows user space first (arch/arm64/include/uapi/asm/ptrace.h).
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn arguments(regs: *const u8) -> Option<[u64; 4]> {
    read(regs, Some(0))
}
