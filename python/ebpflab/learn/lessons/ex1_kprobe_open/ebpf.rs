//! A program that tells who opens which file.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    btf_maps::RingBuf,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user_str_bytes},
    macros::btf_map,
};
// <only kprobe>
use aya_ebpf::{macros::kprobe, programs::ProbeContext};
// </only>
// <only raw_tracepoint>
//| use aya_ebpf::{bindings::pt_regs, helpers::bpf_probe_read_kernel, macros::raw_tracepoint, programs::RawTracePointContext};
// </only>
use common::OpenEvent;

/// The way to user space: 1 MiB that the kernel writes, and user space reads, in order.
#[btf_map]
static EVENTS: RingBuf<OpenEvent, { 1 << 20 }> = RingBuf::new();

// <only kprobe>
/// Runs whenever the kernel comes to this function, to which open, creat, openat and openat2 all come:
/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`
#[kprobe(function = "do_sys_openat2")]
fn opened(ctx: ProbeContext) -> u32 {
    // What is None here was not to be had; the program ends, and the call goes on as if nothing had been.
    let _ = try_opened(&ctx);
    0
}

fn try_opened(ctx: &ProbeContext) -> Option<()> {
    // TODO 1: take the address of the file name out of the arguments of the function: ctx.arg(N)?
    // <solution>
    let filename: *const u8 = ctx.arg(1)?;
    // </solution>
    // <skeleton>
    //| let filename: *const u8 = ctx.arg(0)?;
    // </skeleton>
    tell(filename)
}
// </only>
// <only raw_tracepoint>
//| /// The number of the system call openat, which has one on each machine: `man 2 syscall`, and asm/unistd_64.h.
//| const OPENAT: i64 = if cfg!(bpf_target_arch = "x86_64") { 257 } else { 56 };
//|
//| /// Runs at the beginning of every system call: `sys_enter(struct pt_regs *regs, long id)`
//| #[raw_tracepoint(tracepoint = "sys_enter")]
//| fn opened(ctx: RawTracePointContext) -> i32 {
//|     // What is None here was not to be had; the program ends, and the call goes on as if nothing had been.
//|     let _ = try_opened(&ctx);
//|     0
//| }
//|
//| fn try_opened(ctx: &RawTracePointContext) -> Option<()> {
//|     let regs: *const pt_regs = ctx.arg(0);
//|     // TODO 1: let only openat through: the number of the call is argument 1 of the tracepoint, ctx.arg(N)
//|     // <solution>
//|     let number: i64 = ctx.arg(1);
//|     if number != OPENAT {
//|         return None;
//|     }
//|     // </solution>
//|     // The arguments of the call, openat(int dfd, const char *filename, ...), are in the registers; this is number 1.
//|     // They are in memory of the kernel, which a program reads by a helper only.
//|     // SAFETY: the helper checks the address.
//|     #[cfg(bpf_target_arch = "x86_64")]
//|     let filename = unsafe { bpf_probe_read_kernel(&raw const (*regs).rsi) }.ok()? as *const u8;
//|     #[cfg(bpf_target_arch = "aarch64")]
//|     let filename = unsafe { bpf_probe_read_kernel(&raw const (*regs.cast::<[u64; 31]>())[1]) }.ok()? as *const u8;
//|     tell(filename)
//| }
// </only>

/// Writes one event.
fn tell(filename: *const u8) -> Option<()> {
    // TODO 2: which process is this? bpf_get_current_pid_tgid() returns two ids of 32 bits in one number of 64: the
    // upper half is that of the process, the lower half that of the thread.
    // <solution>
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // </solution>
    // <skeleton>
    //| let pid = 0;
    // </skeleton>

    // Room for one event in the ring, or None if it is full. The kernel wants every such room given back: submitted, or
    // discarded.
    let mut room = EVENTS.reserve(0)?;
    let event = room.as_mut_ptr();
    // SAFETY: it points to that room, which nobody else has.
    unsafe {
        (*event).pid = pid;
        (*event).name[0] = 0;
        // TODO 3: copy the name from the memory of the process to (*event).name. There is a helper for that:
        // bpf_probe_read_user_str_bytes(FROM, &mut TO). What it returns does not matter here; begin with `let _ =`.
        // <solution>
        let _ = bpf_probe_read_user_str_bytes(filename, &mut (*event).name);
        // </solution>
        // <skeleton>
        //| let _ = filename;
        // </skeleton>
    }
    // TODO 4: hand the event over: submit it, do not discard it.
    // <solution>
    room.submit(0);
    // </solution>
    // <skeleton>
    //| room.discard(0);
    // </skeleton>
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
