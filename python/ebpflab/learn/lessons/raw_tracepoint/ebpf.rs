//! A program that counts system calls, by process and number.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    btf_maps::HashMap,
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use common::Call;

/// How often each process made each call.
#[btf_map]
static COUNTS: HashMap<Call, u64, 10_240> = HashMap::new();

// TODO 1: every system call begins at the raw tracepoint sys_enter: attach it there, and not where calls end.
// <solution>
#[raw_tracepoint(tracepoint = "sys_enter")]
// </solution>
// <skeleton>
//| #[raw_tracepoint(tracepoint = "sys_exit")]
// </skeleton>
fn called(ctx: RawTracePointContext) -> i32 {
    let _ = try_called(&ctx);
    0
}

fn try_called(ctx: &RawTracePointContext) -> Option<()> {
    // TODO 2: the arguments of sys_enter are TP_PROTO(struct pt_regs *regs, long id): take the number, as an i64.
    // <solution>
    let number: i64 = ctx.arg(1);
    // </solution>
    // <skeleton>
    //| let number: i64 = 0;
    //| let _ = ctx.arg::<i64>(0);
    // </skeleton>

    // TODO 3: the key: the process, and the number.
    // <solution>
    let call = Call { pid: (bpf_get_current_pid_tgid() >> 32) as u32, number: number as u32 };
    // </solution>
    // <skeleton>
    //| let call = Call { pid: 0, number: number as u32 };
    //| let _ = bpf_get_current_pid_tgid();
    // </skeleton>
    let counter = COUNTS.get_ptr_mut(&call).or_else(|| {
        let _ = COUNTS.insert(&call, &0, 1);
        COUNTS.get_ptr_mut(&call)
    })?;
    // SAFETY: it points to a value of the map.
    unsafe { *counter += 1 };
    Some(())
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
