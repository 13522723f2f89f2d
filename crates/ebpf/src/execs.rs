//! Executed programs, one record each, when the new program is about to run: its arguments are where they will stay, on
//! the new stack, which the kernel has just written.
//!
//! A module of each object that has them; the object says how a record is written (`crate::output`).

use aya_ebpf::{
    EbpfContext, Global,
    btf_maps::PerCpuArray,
    helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user},
    macros::{btf_map, raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use ebpflab_common::{
    event::{Header, Kind},
    exec::{ARGS_LEN, Exec, FILENAME_LEN},
};

use ebpflab_ebpf::{
    book, enabled, event,
    kernel::{self, bounded, read},
    ledger::ledger_of,
    task::{Current, task},
};

use crate::filter::filter;

/// What the verifier knows about the two lengths.
const FILENAME_MASK: u32 = 0xfff;
const ARGS_MASK: u32 = 0x3fff;
const _: () = assert!(FILENAME_LEN <= FILENAME_MASK as usize && ARGS_LEN <= ARGS_MASK as usize);

/// A record before it is known how long it is.
#[repr(C)]
struct Record {
    exec: Exec,
    strings: [u8; (FILENAME_MASK + ARGS_MASK) as usize + 2],
}

/// One for each CPU: the kernel does not run a program while it is running on the same CPU already.
#[btf_map]
static EXEC_SCRATCH: PerCpuArray<Record, 1> = PerCpuArray::new();

/// Books an exec and writes its record. `filename` is a kernel address; null where it is not known.
#[inline(always)]
fn emit(ctx: &impl EbpfContext, filename: *const u8) -> Option<()> {
    let ledger = ledger_of(Kind::Exec)?;
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return Some(());
    }
    let record = EXEC_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    let (exec, strings) = unsafe { (&raw mut (*record).exec, (&raw mut (*record).strings).cast::<u8>()) };
    let mut header = event::header(Kind::Exec);

    // SAFETY: the helper checks the address; the buffer is longer.
    let len = unsafe { bpf_probe_read_kernel_str(strings.cast(), FILENAME_LEN as u32 + 1, filename.cast()) };
    let filename_len = match len {
        1..=4096 => len as u32 - 1,
        _ => {
            header.marks |= Header::FAULT;
            0
        }
    };
    let filename_len = bounded(filename_len, FILENAME_MASK);

    let (start, end) = arguments().unwrap_or((0, 0));
    let args_total = end.wrapping_sub(start) as u32;
    let mut args_len = args_total;
    if args_total > ARGS_LEN as u32 {
        args_len = ARGS_LEN as u32;
        header.marks |= Header::TRUNCATED;
    }
    args_len = bounded(args_len, ARGS_MASK);
    // SAFETY: the helper checks the address; both lengths together are not longer than the buffer.
    let read = unsafe { bpf_probe_read_user(strings.add(filename_len as usize).cast(), args_len, start as *const _) };
    if read != 0 || start == 0 {
        header.marks |= Header::FAULT;
        args_len = 0;
    }

    if header.has(Header::FAULT) {
        book!(ledger, faults);
    }
    if header.has(Header::TRUNCATED) {
        book!(ledger, truncated);
    }
    let ppid = parent().unwrap_or(0);
    // SAFETY: as above.
    unsafe { exec.write(Exec { header, ppid, filename_len, args_len, args_total }) };
    let len = size_of::<Exec>() + filename_len as usize + args_len as usize;
    // SAFETY: as many bytes were written, and the record is longer.
    let bytes = unsafe { core::slice::from_raw_parts(record.cast::<u8>(), len) };
    match crate::output(ctx, bytes) {
        true => book!(ledger, submitted),
        false => book!(ledger, dropped),
    }
    Some(())
}

/// Where the arguments of the new program begin and end in its memory.
#[inline(always)]
fn arguments() -> Option<(u64, u64)> {
    let mm: *const u8 = read(task(), kernel::task_struct_mm())?;
    Some((read(mm, kernel::mm_struct_arg_start())?, read(mm, kernel::mm_struct_arg_end())?))
}

/// Process id of the parent.
#[inline(always)]
fn parent() -> Option<u32> {
    let parent: *const u8 = read(task(), kernel::task_struct_real_parent())?;
    read(parent, kernel::task_struct_tgid())
}

/// Offset of `filename` in the record of `sched_process_exec`, from the format file.
#[unsafe(no_mangle)]
static FILENAME: Global<u32> = Global::new(8);

/// The file name in a record of `sched/sched_process_exec`: `__data_loc`, the offset of its bytes in the lower half.
#[inline(always)]
fn tp_filename(ctx: &TracePointContext) -> Option<*const u8> {
    // SAFETY: a checked read of the record.
    let location: u32 = unsafe { ctx.read_at(FILENAME.load() as usize) }.ok()?;
    Some(ctx.as_ptr().cast::<u8>().wrapping_add(location as usize & 0xffff))
}

/// The file name in `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`,
/// include/trace/events/sched.h
#[inline(always)]
fn raw_filename(ctx: &RawTracePointContext) -> Option<*const u8> {
    read(ctx.arg(2), kernel::linux_binprm_filename())
}

#[tracepoint(category = "sched", name = "sched_process_exec")]
fn exec_tp(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = emit(&ctx, tp_filename(&ctx).unwrap_or(core::ptr::null()));
    }
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn exec_raw_tp(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = emit(&ctx, raw_filename(&ctx).unwrap_or(core::ptr::null()));
    }
    0
}
