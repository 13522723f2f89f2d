//! Two programs that tell what a function of the C library is given, and what it returns.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    btf_maps::{HashMap, RingBuf},
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user_str_bytes},
    macros::{btf_map, uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use common::{Decoded, TEXT_LEN};

/// The way to user space.
#[btf_map]
static EVENTS: RingBuf<Decoded, 65_536> = RingBuf::new();

/// Calls that have not returned: by thread, the address of what the function was given. At the return it is in no
/// register any more.
#[btf_map]
static CALLS: HashMap<u32, u64, 1024> = HashMap::new();

/// Runs when any process comes to the function: `long a64l(const char *text)`, man 3 a64l
#[uprobe(path = "libc", function = "a64l")]
fn entered(ctx: ProbeContext) -> u32 {
    let _ = try_entered(&ctx);
    0
}

fn try_entered(ctx: &ProbeContext) -> Option<()> {
    // TODO 1: the address is the first argument of the function, ctx.arg(0). Keep it in CALLS, under the id of the thread,
    // which is the lower half of bpf_get_current_pid_tgid().
    // <solution>
    let text: *const u8 = ctx.arg(0)?;
    CALLS.insert(&(bpf_get_current_pid_tgid() as u32), &(text as u64), 0).ok()
    // </solution>
    // <skeleton>
    //| let _ = (ctx.arg::<*const u8>(0)?, bpf_get_current_pid_tgid(), &CALLS);
    //| None
    // </skeleton>
}

/// Runs when the function returns.
#[uretprobe(path = "libc", function = "a64l")]
fn returned(ctx: RetProbeContext) -> u32 {
    let _ = try_returned(&ctx);
    0
}

fn try_returned(ctx: &RetProbeContext) -> Option<()> {
    let ids = bpf_get_current_pid_tgid();
    let mut event = Decoded { pid: (ids >> 32) as u32, text: [0; TEXT_LEN], result: 0 };
    // TODO 2: take the address out of CALLS: copy it (unsafe { CALLS.get(&tid) } is an Option of a reference), and remove
    // the entry, for the call is over. Without an entry this call began before the program was attached: return None.
    // <solution>
    let tid = ids as u32;
    // SAFETY: only this thread writes or removes its entry.
    let text = unsafe { CALLS.get(&tid) }.copied()?;
    CALLS.remove(&tid).ok()?;
    // </solution>
    // <skeleton>
    //| let text = 0_u64;
    // </skeleton>

    // TODO 3: what the function returned, ctx.ret(), a `long`: 64 bits.
    // <solution>
    event.result = ctx.ret();
    // </solution>
    // <skeleton>
    //| let _ = ctx.ret::<i64>();
    // </skeleton>

    // SAFETY: the helper checks the address.
    let _ = unsafe { bpf_probe_read_user_str_bytes(text as *const u8, &mut event.text) };
    EVENTS.output(&event, 0).ok()
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
