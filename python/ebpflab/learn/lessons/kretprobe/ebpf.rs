//! Two programs that tell which files could not be opened, and why.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    btf_maps::{HashMap, RingBuf},
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user_str_bytes},
    macros::btf_map,
};
// <only kprobe>
use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
// </only>
// <only raw_tracepoint>
//| use aya_ebpf::bindings::pt_regs;
//| use aya_ebpf::{helpers::bpf_probe_read_kernel, macros::raw_tracepoint, programs::RawTracePointContext};
// </only>
use common::FailedOpen;

/// The way to user space.
#[btf_map]
static EVENTS: RingBuf<FailedOpen, { 1 << 20 }> = RingBuf::new();

/// Calls that have not returned: by thread, the address of the name. At the return it is in no register any more.
#[btf_map]
static CALLS: HashMap<u32, u64, 1024> = HashMap::new();

// <only kprobe>
/// Runs whenever the kernel comes to this function, to which open, creat, openat and openat2 all come:
/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`
#[kprobe(function = "do_sys_openat2")]
fn entered(ctx: ProbeContext) -> u32 {
    let _ = ctx.arg(1).and_then(keep);
    0
}

/// Runs when the function returns.
#[kretprobe(function = "do_sys_openat2")]
fn returned(ctx: RetProbeContext) -> u32 {
    // TODO 2: what the function returned, ctx.ret(): an i32.
    // <solution>
    let result: i32 = ctx.ret();
    // </solution>
    // <skeleton>
    //| let _ = ctx.ret::<i32>();
    //| let result = 0;
    // </skeleton>
    let _ = tell(result);
    0
}
// </only>
// <only raw_tracepoint>
//| /// The number of the system call openat, which has one on each machine: `man 2 syscall`, and asm/unistd_64.h.
//| const OPENAT: i64 = if cfg!(bpf_target_arch = "x86_64") { 257 } else { 56 };
//|
//| /// Runs at the beginning of every system call: `sys_enter(struct pt_regs *regs, long id)`
//| #[raw_tracepoint(tracepoint = "sys_enter")]
//| fn entered(ctx: RawTracePointContext) -> i32 {
//|     if ctx.arg::<i64>(1) == OPENAT {
//|         let _ = filename(ctx.arg(0)).and_then(keep);
//|     }
//|     0
//| }
//|
//| /// The address of the name: argument 1 of openat(int dfd, const char *filename, ...).
//| fn filename(regs: *const pt_regs) -> Option<u64> {
//|     // SAFETY: the helper checks the address.
//|     #[cfg(bpf_target_arch = "x86_64")]
//|     return unsafe { bpf_probe_read_kernel(&raw const (*regs).rsi) }.ok();
//|     #[cfg(bpf_target_arch = "aarch64")]
//|     return unsafe { bpf_probe_read_kernel(&raw const (*regs.cast::<[u64; 31]>())[1]) }.ok();
//| }
//|
//| /// Runs at the end of every system call, of whichever number: `sys_exit(struct pt_regs *regs, long ret)`
//| #[raw_tracepoint(tracepoint = "sys_exit")]
//| fn returned(ctx: RawTracePointContext) -> i32 {
//|     // TODO 2: what the call returned, which is argument 1 of the tracepoint, ctx.arg(N): an i32.
//|     // <solution>
//|     let result: i32 = ctx.arg(1);
//|     // </solution>
//|     // <skeleton>
//|     //| let _ = ctx.arg::<i32>(0);
//|     //| let result = 0;
//|     // </skeleton>
//|     let _ = tell(result);
//|     0
//| }
// </only>

/// Keeps the address of a name until the call returns.
fn keep(filename: u64) -> Option<()> {
    // TODO 1: keep it in CALLS, under the id of the thread: the lower half of bpf_get_current_pid_tgid().
    // <solution>
    CALLS.insert(&(bpf_get_current_pid_tgid() as u32), &filename, 0).ok()
    // </solution>
    // <skeleton>
    //| let _ = (filename, &CALLS);
    //| None
    // </skeleton>
}

/// Tells of a call that has returned, if it failed.
fn tell(result: i32) -> Option<()> {
    let ids = bpf_get_current_pid_tgid();
    // TODO 3: take the address out of CALLS: copy it (unsafe { CALLS.get(&tid) } is an Option of a reference), and
    // remove the entry. Without an entry this is another call, or began before the program was attached: return None.
    // <solution>
    let tid = ids as u32;
    // SAFETY: only this thread writes or removes its entry.
    let filename = unsafe { CALLS.get(&tid) }.copied()?;
    CALLS.remove(&tid).ok()?;
    // </solution>
    // <skeleton>
    //| let filename: u64 = None?;
    // </skeleton>

    // TODO 4: the number of an open file, 0 or more, is no failure: return None. A result below 0 is the errno with a
    // minus before it.
    // <solution>
    if result >= 0 {
        return None;
    }
    let errno = -result;
    // </solution>
    // <skeleton>
    //| let _ = result;
    //| let errno = 0;
    // </skeleton>

    let mut room = EVENTS.reserve(0)?;
    let event = room.as_mut_ptr();
    // SAFETY: it points to that room, which nobody else has; the helper checks the address.
    unsafe {
        (*event).name[0] = 0;
        // TODO 5: the process, which is the upper half of ids; errno; and the name, from the memory of the process:
        // `let _ = bpf_probe_read_user_str_bytes(FROM, &mut TO);`. filename has to become a *const u8 for that (`as`).
        // <solution>
        (*event).pid = (ids >> 32) as u32;
        (*event).errno = errno;
        let _ = bpf_probe_read_user_str_bytes(filename as *const u8, &mut (*event).name);
        // </solution>
        // <skeleton>
        //| let _ = (ids, filename);
        //| (*event).pid = 0;
        //| (*event).errno = errno;
        // </skeleton>
    }
    room.submit(0);
    Some(())
}

/// Helpers that look at other people's memory are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Rust wants one. The verifier refuses a program that could come here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
