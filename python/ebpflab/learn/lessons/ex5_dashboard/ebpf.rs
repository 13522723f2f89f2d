//! Two programs that tell what goes on: opened files and executed programs, as one stream.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::RingBuf,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel_str_bytes, bpf_probe_read_user_str_bytes,
    },
    macros::{btf_map, tracepoint},
    programs::TracePointContext,
};
// <only kprobe>
use aya_ebpf::{macros::kprobe, programs::ProbeContext};
// </only>
// <only raw_tracepoint>
//| use aya_ebpf::{bindings::pt_regs, helpers::bpf_probe_read_kernel, macros::raw_tracepoint, programs::RawTracePointContext};
// </only>
use common::{ActivityEvent, EXEC, OPEN};

/// One ring for both programs, so that user space sees what happened in the order in which it happened.
#[btf_map]
static EVENTS: RingBuf<ActivityEvent, { 1 << 20 }> = RingBuf::new();

/// Where a name is: in the memory of the process, or in that of the kernel. Each has a helper of its own.
enum Name {
    User(*const u8),
    Kernel(*const u8),
}

// <only kprobe>
/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`
#[kprobe(function = "do_sys_openat2")]
fn opened(ctx: ProbeContext) -> u32 {
    let _ = try_opened(&ctx);
    0
}

fn try_opened(ctx: &ProbeContext) -> Option<()> {
    let filename: *const u8 = ctx.arg(1)?;
    tell(OPEN, Name::User(filename))
}
// </only>
// <only raw_tracepoint>
//| /// The number of the system call openat, which has one on each machine.
//| const OPENAT: i64 = if cfg!(bpf_target_arch = "x86_64") { 257 } else { 56 };
//|
//| /// Runs at the beginning of every system call: `sys_enter(struct pt_regs *regs, long id)`
//| #[raw_tracepoint(tracepoint = "sys_enter")]
//| fn opened(ctx: RawTracePointContext) -> i32 {
//|     if ctx.arg::<i64>(1) == OPENAT {
//|         let _ = try_opened(&ctx);
//|     }
//|     0
//| }
//|
//| fn try_opened(ctx: &RawTracePointContext) -> Option<()> {
//|     let regs: *const pt_regs = ctx.arg(0);
//|     // Argument 1 of the call, in the registers of the process.
//|     // SAFETY: the helper checks the address.
//|     #[cfg(bpf_target_arch = "x86_64")]
//|     let filename = unsafe { bpf_probe_read_kernel(&raw const (*regs).rsi) }.ok()? as *const u8;
//|     #[cfg(bpf_target_arch = "aarch64")]
//|     let filename = unsafe { bpf_probe_read_kernel(&raw const (*regs.cast::<[u64; 31]>())[1]) }.ok()? as *const u8;
//|     tell(OPEN, Name::User(filename))
//| }
// </only>

/// Runs whenever a program was executed: the process is the new program already.
#[tracepoint(category = "sched", name = "sched_process_exec")]
fn executed(ctx: TracePointContext) -> u32 {
    let _ = try_executed(&ctx);
    0
}

/// Where the field filename is in the record: `ebpflab tracepoints sched_process_exec`
const FILENAME: usize = 8;

fn try_executed(ctx: &TracePointContext) -> Option<()> {
    // TODO 1: read the field, take the offset out of it (the lower 16 bits), and tell of it, as try_opened does. It is a
    // name in the memory of the kernel: ctx.as_ptr() and the offset.
    // <solution>
    // SAFETY: read_at reads by a helper, which checks.
    let location: u32 = unsafe { ctx.read_at(FILENAME) }.ok()?;
    let filename = ctx.as_ptr().cast::<u8>().wrapping_add((location & 0xffff) as usize);
    tell(EXEC, Name::Kernel(filename))
    // </solution>
    // <skeleton>
    //| let _ = (ctx.as_ptr(), FILENAME, EXEC, Name::Kernel as fn(_) -> _);
    //| None
    // </skeleton>
}

/// Writes one event.
#[inline(always)]
fn tell(kind: u32, name: Name) -> Option<()> {
    let mut room = EVENTS.reserve(0)?;
    let event = room.as_mut_ptr();
    // SAFETY: it points to that room, which nobody else has. Every byte is written: what was there before is others'.
    unsafe {
        // TODO 2: the kind, and the process (not the thread).
        // <solution>
        (*event).kind = kind;
        (*event).pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        // </solution>
        // <skeleton>
        //| let _ = (kind, OPEN, bpf_get_current_pid_tgid());
        //| (*event).kind = 0;
        //| (*event).pid = 0;
        // </skeleton>

        // TODO 3: what the thread is called. bpf_get_current_comm() is a Result; take zeros where it fails:
        // `.unwrap_or_default()`.
        // <solution>
        (*event).comm = bpf_get_current_comm().unwrap_or_default();
        // </solution>
        // <skeleton>
        //| let _ = bpf_get_current_comm;
        //| (*event).comm = [0; 16];
        // </skeleton>

        (*event).name[0] = 0;
        // TODO 4: the name, by the helper for its memory: from a user address by bpf_probe_read_user_str_bytes, from an
        // address of the kernel by bpf_probe_read_kernel_str_bytes, both to &mut (*event).name.
        // <solution>
        let _ = match name {
            Name::User(from) => bpf_probe_read_user_str_bytes(from, &mut (*event).name),
            Name::Kernel(from) => bpf_probe_read_kernel_str_bytes(from, &mut (*event).name),
        };
        // </solution>
        // <skeleton>
        //| match name {
        //|     Name::User(_) | Name::Kernel(_) => {}
        //| }
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
