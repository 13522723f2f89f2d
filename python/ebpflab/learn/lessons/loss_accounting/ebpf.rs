//! A program that tells of each opened file, and knows what it could not tell.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    btf_maps::{Array, RingBuf},
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use common::OpenEvent;

/// Small on purpose: room for 170 events.
#[btf_map]
static EVENTS: RingBuf<OpenEvent, 4096> = RingBuf::new();

/// Three counts: SEEN, SUBMITTED, DROPPED.
#[btf_map]
static LEDGER: Array<u64, 3> = Array::new();

const SEEN: u32 = 0;
const SUBMITTED: u32 = 1;
const DROPPED: u32 = 2;

/// The process that is watched. User space sets it before the program is loaded.
#[unsafe(no_mangle)]
static TARGET: u32 = 0;

/// The number of the system call openat, which has one on each machine.
const OPENAT: i64 = if cfg!(bpf_target_arch = "x86_64") { 257 } else { 56 };

/// Runs at the beginning of every system call: `sys_enter(struct pt_regs *regs, long id)`
#[raw_tracepoint(tracepoint = "sys_enter")]
fn opened(ctx: RawTracePointContext) -> i32 {
    // The compiler takes TARGET for 0, unless it is made to look.
    // SAFETY: a static that nobody writes while the program runs.
    let target = unsafe { (&raw const TARGET).read_volatile() };
    let ids = bpf_get_current_pid_tgid();
    if ctx.arg::<i64>(1) == OPENAT && (ids >> 32) as u32 == target {
        let _ = tell(ids as u32);
    }
    0
}

fn tell(tid: u32) -> Option<()> {
    // TODO 1: count each call here as SEEN, whatever becomes of it. add(SEEN) is its number.
    // <solution>
    let number = add(SEEN)?;
    // </solution>
    // <skeleton>
    //| let _ = (SEEN, add as fn(_) -> _);
    //| let number = 0;
    // </skeleton>

    // TODO 2: reserve is None where the ring is full. The reader is not told of that by anybody, so count it as DROPPED.
    // <solution>
    let Some(mut room) = EVENTS.reserve(0) else {
        add(DROPPED)?;
        return None;
    };
    // </solution>
    // <skeleton>
    //| let _ = DROPPED;
    //| let mut room = EVENTS.reserve(0)?;
    // </skeleton>
    room.write(OpenEvent { number, tid, padding: 0 });
    room.submit(0);
    // TODO 3: and what was handed over as SUBMITTED.
    // <solution>
    add(SUBMITTED)?;
    // </solution>
    // <skeleton>
    //| let _ = SUBMITTED;
    // </skeleton>
    Some(())
}

/// Adds one to a count of the ledger; returns what it is then.
fn add(count: u32) -> Option<u64> {
    let count = LEDGER.get_ptr_mut(count)?;
    // SAFETY: it points to a value of the map. (Two CPUs at once may lose one: see the lesson percpu_hash_map.)
    unsafe {
        *count += 1;
        Some(*count)
    }
}

/// Some helpers are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Rust wants one. The verifier refuses a program that could come here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
