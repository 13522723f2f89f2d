//! A program that counts how many files each process opens, and loses none.
#![no_std]
#![no_main]

use aya_ebpf::{
    btf_maps::PerCpuHashMap,
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};

// TODO 1: make it a PerCpuHashMap: the same with a value for each CPU. (Take it from aya_ebpf::btf_maps, too.)
// <solution>
/// How many files each process opened, by its id; on each CPU.
#[btf_map]
static COUNTS: PerCpuHashMap<u32, u64, 10_240> = PerCpuHashMap::new();
// </solution>
// <skeleton>
//| /// How many files each process opened, by its id.
//| #[btf_map]
//| static COUNTS: aya_ebpf::btf_maps::HashMap<u32, u64, 10_240> = aya_ebpf::btf_maps::HashMap::new();
// </skeleton>

/// The number of the system call openat, which has one on each machine.
const OPENAT: i64 = if cfg!(bpf_target_arch = "x86_64") { 257 } else { 56 };

/// Runs at the beginning of every system call: `sys_enter(struct pt_regs *regs, long id)`
#[raw_tracepoint(tracepoint = "sys_enter")]
fn counted(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<i64>(1) == OPENAT {
        let _ = count();
    }
    0
}

/// Counts one call of the process that is running.
fn count() -> Option<()> {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // TODO 2: get the pointer to this CPU's count. Where the process has no entry yet, insert one of zero: on the other
    // CPUs it is zero by itself. If it came into being meanwhile the insert must not overwrite it: BPF_NOEXIST, 1.
    // <solution>
    let counter = COUNTS.get_ptr_mut(&pid).or_else(|| {
        let _ = COUNTS.insert(&pid, &0, 1);
        COUNTS.get_ptr_mut(&pid)
    })?;
    // </solution>
    // <skeleton>
    //| let _ = COUNTS.insert(&pid, &0, 0);
    //| let counter = COUNTS.get_ptr_mut(&pid)?;
    // </skeleton>
    // SAFETY: it points to a value of the map, which only this CPU writes.
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
