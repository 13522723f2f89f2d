//! A program that tells which programs are executed.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::PerfEventArray,
    helpers::bpf_probe_read_kernel_str_bytes,
    macros::{btf_map, tracepoint},
    programs::TracePointContext,
};
use common::{ExecEvent, NAME_LEN};

/// The way to user space: a buffer for each CPU.
#[btf_map]
static EVENTS: PerfEventArray = PerfEventArray::new();

// Where the fields are in the record of sched:sched_process_exec. `ebpflab tracepoints sched_process_exec` shows it, and so
// does /sys/kernel/tracing/events/sched/sched_process_exec/format.
// TODO 1: look it up, and put the offsets here.
// <solution>
const FILENAME: usize = 8;
const PID: usize = 12;
const OLD_PID: usize = 16;
// </solution>
// <skeleton>
//| const FILENAME: usize = 0;
//| const PID: usize = 0;
//| const OLD_PID: usize = 0;
// </skeleton>

/// Runs whenever a program was executed: the process is the new program already.
#[tracepoint(category = "sched", name = "sched_process_exec")]
fn executed(ctx: TracePointContext) -> u32 {
    // What is None here was not to be had; the program ends, and the process goes on.
    let _ = try_executed(&ctx);
    0
}

fn try_executed(ctx: &TracePointContext) -> Option<()> {
    let mut event = ExecEvent { pid: 0, old_pid: 0, filename: [0; NAME_LEN] };
    // SAFETY: read_at reads by a helper, which checks.
    unsafe {
        // TODO 2: read both ids out of the record: ctx.read_at(OFFSET).ok()? reads as many bytes as the type has that it
        // is assigned to.
        // <solution>
        event.pid = ctx.read_at(PID).ok()?;
        event.old_pid = ctx.read_at(OLD_PID).ok()?;
        // </solution>
        // <skeleton>
        //| let _ = (PID, OLD_PID);
        // </skeleton>

        // The text is not in a field, since it is of any length: it is at the end of the record, and the field, a
        // `__data_loc`, says where: the lower 16 bits are its offset in the record, the upper 16 its length.
        let location: u32 = ctx.read_at(FILENAME).ok()?;
        // TODO 3: take the offset out of it.
        // <solution>
        let offset = (location & 0xffff) as usize;
        // </solution>
        // <skeleton>
        //| let offset = location as usize;
        // </skeleton>
        let text = ctx.as_ptr().cast::<u8>().add(offset);
        let _ = bpf_probe_read_kernel_str_bytes(text, &mut event.filename);
    }
    // TODO 4: hand the event over: EVENTS.output(ctx, &event, 0)
    // <solution>
    EVENTS.output(ctx, &event, 0);
    // </solution>
    // <skeleton>
    //| let _ = &event;
    // </skeleton>
    Some(())
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
