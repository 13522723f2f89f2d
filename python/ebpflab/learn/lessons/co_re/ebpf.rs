//! A program that tells who executes what, and who started that, out of the kernel's own structs.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    btf_maps::RingBuf,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes},
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use common::{Executed, NAME_LEN};

/// The way to user space.
#[btf_map]
static EVENTS: RingBuf<Executed, { 1 << 18 }> = RingBuf::new();

// Where fields of the kernel's structs are, in bytes from the beginning of the struct: of the kernel that loads this
// program, whichever that is. They are in src/core.ll.
#[allow(dead_code, reason = "nobody has to ask for all of them")]
unsafe extern "C" {
    /// `struct task_struct *real_parent` in `struct task_struct`: the thread that started this one.
    safe fn task_struct_real_parent() -> u64;
    /// `pid_t tgid` in `struct task_struct`: the id of the process.
    safe fn task_struct_tgid() -> u64;
    /// `pid_t pid` in `struct task_struct`: the id of the thread.
    safe fn task_struct_pid() -> u64;
    /// `const char *filename` in `struct linux_binprm`.
    safe fn linux_binprm_filename() -> u64;
}

/// Reads a field of a struct of the kernel: as many bytes at that offset as the type has. None if nothing is there.
fn read<T>(of: *const u8, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(of.wrapping_add(offset as usize).cast()) }.ok()
}

/// Runs whenever a program was executed:
/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn executed(ctx: RawTracePointContext) -> i32 {
    let _ = try_executed(&ctx);
    0
}

fn try_executed(ctx: &RawTracePointContext) -> Option<()> {
    let task: *const u8 = ctx.arg(0);
    let bprm: *const u8 = ctx.arg(2);
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let mut event = Executed { pid, parent: 0, filename: [0; NAME_LEN] };

    // TODO 1: the parent is another task_struct, to which the task has a pointer: read::<*const u8>(STRUCT, OFFSET).
    // <solution>
    let parent: *const u8 = read(task, task_struct_real_parent())?;
    // </solution>
    // <skeleton>
    //| let parent: *const u8 = core::ptr::null();
    // </skeleton>

    // TODO 2: the id of the process is a field of that struct, a u32 here.
    // <solution>
    event.parent = read(parent, task_struct_tgid())?;
    // </solution>
    // <skeleton>
    //| let _ = (task, parent, task_struct_real_parent(), task_struct_tgid(), read::<u32>(parent, task_struct_pid()));
    // </skeleton>

    // TODO 3: in the struct linux_binprm there is no name, but a pointer to one. Read it; then
    // bpf_probe_read_kernel_str_bytes(FROM, &mut TO) copies the text.
    // <solution>
    let filename: *const u8 = read(bprm, linux_binprm_filename())?;
    // SAFETY: the helper checks the address.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(filename, &mut event.filename) };
    // </solution>
    // <skeleton>
    //| let _ = (bprm, linux_binprm_filename());
    //| let _ = unsafe { bpf_probe_read_kernel_str_bytes(core::ptr::null(), &mut event.filename) };
    // </skeleton>
    EVENTS.output(&event, 0).ok()
}

/// Helpers that read the kernel's memory are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Rust wants one. The verifier refuses a program that could come here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
