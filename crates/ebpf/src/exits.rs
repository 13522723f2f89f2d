//! Processes that end, one record each, when their last thread does.
//!
//! A module of each object that has them; the object says how a record is written (`crate::output`).

use aya_ebpf::{
    EbpfContext, Global,
    btf_maps::{HashMap, LruHashMap},
    macros::{btf_map, raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use ebpflab_common::{
    event::Kind,
    exit::{Exit, Process},
    filter::{Filter, Task as _},
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{self, read},
    ledger::ledger_of,
    task::{Current, parent, task},
};

use crate::{event, filter::filter};

const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;
const EEXIST: i32 = 17;

/// Whether exits are asked for: set by the loader.
#[unsafe(no_mangle)]
static EXITS: Global<u32> = Global::new(0);

/// When each process last executed a program, in nanoseconds since boot; removed when it ends.
#[btf_map]
static EXEC_TIMES: HashMap<u32, u64, 32_768> = HashMap::new();

/// Processes whose end was recorded. Those of long ago are pushed out; two threads of one process meet here only while
/// both are ending.
#[btf_map]
static ENDED: LruHashMap<Process, u32, 16_384> = LruHashMap::new();

/// The current process executed a program.
#[inline(always)]
pub(crate) fn executed(time: u64) {
    if EXITS.load() != 0 {
        let (pid, _) = Current.pid_tid();
        // Where there is no room the exit does not tell the time of the exec.
        let _ = EXEC_TIMES.insert(&pid, &time, BPF_ANY);
    }
}

/// The current thread ends: if it is the last one of its process, books that and writes the record.
#[inline(always)]
fn exit(ctx: &impl EbpfContext) -> Option<()> {
    let signal: *const u8 = read(task(), kernel::task_struct_signal())?;
    // Counted down before the tracepoint (kernel/exit.c, `do_exit`).
    let live: u32 = read(signal, kernel::signal_struct_live_counter())?;
    if live != 0 {
        return None;
    }
    let leader: *const u8 = read(task(), kernel::task_struct_group_leader())?;
    let start: u64 = read(leader, kernel::task_struct_start_boottime())?;
    let (pid, _) = Current.pid_tid();
    // Two threads that end at the same moment may both count down before either comes here: one of them goes on.
    if ENDED.insert(&Process { start, pid: pid.into() }, &0, BPF_NOEXIST) == Err(-EEXIST) {
        return None;
    }
    let ledger = ledger_of(Kind::Exit)?;
    book!(ledger, seen);
    // SAFETY: only the process itself writes its entry.
    let exec_time = EXEC_TIMES.get_ptr(&pid).map_or(0, |time| unsafe { *time });
    let _ = EXEC_TIMES.remove(&pid);
    let status = status(signal, leader)?;
    if !filter().accepts(&Current) || filter().wants(Filter::FAILED) && status == 0 {
        book!(ledger, filtered);
        return Some(());
    }
    let header = event::header(Kind::Exit);
    let duration = header.time.wrapping_sub(start);
    let (ppid, _) = parent().unwrap_or_default();
    let record = Exit { header, duration, exec_time, ppid, status };
    // SAFETY: plain integers without padding.
    let bytes = unsafe { core::slice::from_raw_parts((&raw const record).cast::<u8>(), size_of::<Exit>()) };
    match crate::output(ctx, bytes) {
        true => book!(ledger, submitted),
        false => book!(ledger, dropped),
    }
    Some(())
}

/// How the process ended, as the parent will be told (kernel/exit.c, `wait_task_zombie`): as all of its threads did
/// together, or else as the first one.
#[inline(always)]
fn status(signal: *const u8, leader: *const u8) -> Option<i32> {
    /// include/linux/sched/signal.h
    const SIGNAL_GROUP_EXIT: u32 = 4;
    let flags: u32 = read(signal, kernel::signal_struct_flags())?;
    match flags & SIGNAL_GROUP_EXIT {
        0 => read(leader, kernel::task_struct_exit_code()),
        _ => read(signal, kernel::signal_struct_group_exit_code()),
    }
}

#[tracepoint(category = "sched", name = "sched_process_exit")]
fn exit_tp(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = exit(&ctx);
    }
    0
}

/// `TP_PROTO(struct task_struct *p)`, include/trace/events/sched.h: the current task.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn exit_raw_tp(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = exit(&ctx);
    }
    0
}
