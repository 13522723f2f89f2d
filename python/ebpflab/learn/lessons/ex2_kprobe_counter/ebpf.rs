//! A program that counts how many files each process opens.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{btf_maps::HashMap, helpers::bpf_get_current_pid_tgid, macros::btf_map};
// <only kprobe>
use aya_ebpf::{macros::kprobe, programs::ProbeContext};
// </only>
// <only raw_tracepoint>
//| use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
// </only>
use common::MAX_ENTRIES;

/// How many files each process opened, by its id. It is in the kernel; user space reads it when it likes.
#[btf_map]
static COUNTS: HashMap<u32, u64, MAX_ENTRIES> = HashMap::new();

/// A flag of `insert`: only a key that is not there yet.
const BPF_NOEXIST: u64 = 1;

// <only kprobe>
/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`
#[kprobe(function = "do_sys_openat2")]
fn counted(_ctx: ProbeContext) -> u32 {
    let _ = count();
    0
}
// </only>
// <only raw_tracepoint>
//| /// The number of the system call openat, which has one on each machine.
//| const OPENAT: i64 = if cfg!(bpf_target_arch = "x86_64") { 257 } else { 56 };
//|
//| /// Runs at the beginning of every system call: `sys_enter(struct pt_regs *regs, long id)`
//| #[raw_tracepoint(tracepoint = "sys_enter")]
//| fn counted(ctx: RawTracePointContext) -> i32 {
//|     if ctx.arg::<i64>(1) == OPENAT {
//|         let _ = count();
//|     }
//|     0
//| }
// </only>

/// Counts one call of the process that is running.
fn count() -> Option<()> {
    // TODO 1: the key is the id of the process, the same for all of its threads.
    // <solution>
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // </solution>
    // <skeleton>
    //| let pid: u32 = 0;
    // </skeleton>

    // TODO 2: COUNTS.get_ptr_mut(&pid) is an Option: where there is an entry for this key, a pointer to its value in the
    // kernel's memory. Where there is none yet, make one, COUNTS.insert(&pid, &0, BPF_NOEXIST), and ask again.
    // <solution>
    let counter = COUNTS.get_ptr_mut(&pid).or_else(|| {
        // Another CPU may have been quicker: then this fails, and its entry is found.
        let _ = COUNTS.insert(&pid, &0, BPF_NOEXIST);
        COUNTS.get_ptr_mut(&pid)
    })?;
    // </solution>
    // <skeleton>
    //| let counter: *mut u64 = COUNTS.get_ptr_mut(&pid)?;
    // </skeleton>

    // TODO 3: add one to what is there.
    // SAFETY: it points to a value of the map.
    unsafe {
        // <solution>
        *counter += 1;
        // </solution>
        // <skeleton>
        //| *counter = 1;
        // </skeleton>
    }
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
