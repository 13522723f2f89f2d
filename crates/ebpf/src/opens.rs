//! Opened files: open, creat, openat and openat2, one record each when the call returns. The path is read then: the
//! kernel has just read it, so its page is resident, which at entry it need not be.
//!
//! A module of each object that has them; the object says how a record is written (`crate::output`).

use aya_ebpf::{
    EbpfContext, Global,
    btf_maps::{HashMap, PerCpuArray},
    helpers::{bpf_probe_read_kernel, bpf_probe_read_user, generated::bpf_probe_read_user_str},
    macros::{btf_map, fexit, kprobe, kretprobe, raw_tracepoint, tracepoint},
    programs::{FExitContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext},
};
use ebpflab_common::{
    event::{Header, Kind},
    filter::{Filter, Task as _},
    ledger::Ledger,
    open::{AT_FDCWD, Call, Open, PATH_LEN},
    syscall::Syscall,
};
use ebpflab_ebpf::{
    book, enabled, event,
    kernel::{bounded, read},
    ledger::ledger_of,
    task::Current,
};

use crate::{
    filter::filter,
    syscall::{is_compat, opens, tp_ret},
};

/// Calls that have not returned, by thread id.
#[btf_map]
static CALLS: HashMap<u32, Call, 16_384> = HashMap::new();

/// A record before it is known how long it is. One byte more than the longest path, so that a longer one shows.
#[repr(C)]
struct Record {
    open: Open,
    path: [u8; PATH_LEN + 2],
}

/// One for each CPU: the kernel does not run a program while it is running on the same CPU already.
#[btf_map]
static OPEN_SCRATCH: PerCpuArray<Record, 1> = PerCpuArray::new();

const BPF_ANY: u64 = 0;

/// The fixed part of `struct open_how` that matters (include/uapi/linux/openat2.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct OpenHow {
    flags: u64,
    mode: u64,
}

/// Whether the current task is one that the user asked for; books it as seen, and as filtered if not.
#[inline(always)]
fn wanted(ledger: *mut Ledger) -> bool {
    book!(ledger, seen);
    let accepted = filter().accepts(&Current);
    if !accepted {
        book!(ledger, filtered);
    }
    accepted
}

/// Remembers a call until it returns.
#[inline(always)]
fn enter(call: &Call) -> Option<()> {
    let ledger = ledger_of(Kind::Open)?;
    if wanted(ledger) {
        let (_, tid) = Current.pid_tid();
        // The entry before it never returned: the thread is here again.
        if CALLS.get_ptr(&tid).is_some() {
            let _ = CALLS.remove(&tid);
            book!(ledger, unpaired);
        }
        if CALLS.insert(&tid, call, BPF_ANY).is_err() {
            book!(ledger, unpaired);
        }
    }
    Some(())
}

/// The call of this thread returns.
#[inline(always)]
fn leave(ctx: &impl EbpfContext, ret: i64) -> Option<()> {
    let (_, tid) = Current.pid_tid();
    // SAFETY: only this thread writes its entry.
    let mut call = unsafe { *CALLS.get_ptr(&tid)? };
    let _ = CALLS.remove(&tid);
    if call.how != 0 {
        // SAFETY: the helper checks the address. If it fails, the kernel could not read it either.
        if let Ok(how) = unsafe { bpf_probe_read_user(call.how as *const OpenHow) } {
            (call.flags, call.mode) = (how.flags, how.mode as u32);
        }
    }
    emit(ctx, ledger_of(Kind::Open)?, &call, ret)
}

/// Writes the record of a call that returned.
#[inline(always)]
fn emit(ctx: &impl EbpfContext, ledger: *mut Ledger, call: &Call, ret: i64) -> Option<()> {
    if filter().wants(Filter::FAILED) && ret >= 0 {
        book!(ledger, filtered);
        return Some(());
    }
    let record = OPEN_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    let (open, path) = unsafe { (&raw mut (*record).open, &raw mut (*record).path) };
    let mut header = event::header(Kind::Open);
    // SAFETY: the helper checks the address; the buffer is as long as it is told.
    let read = unsafe { bpf_probe_read_user_str(path.cast(), PATH_LEN as u32 + 2, call.path as *const _) };
    let path_len = match read {
        // An empty path, without its NUL: so 5.10 counts it (mm/maccess.c, strncpy_from_user_nofault).
        0 => 0,
        // The closing NUL is counted in `read`; one byte more than fits says that the path goes on.
        1..=4096 => read as u32 - 1,
        4097.. => {
            header.marks |= Header::TRUNCATED;
            PATH_LEN as u32
        }
        _ => {
            header.marks |= Header::FAULT;
            0
        }
    };
    if header.has(Header::FAULT) {
        book!(ledger, faults);
    }
    if header.has(Header::TRUNCATED) {
        book!(ledger, truncated);
    }
    let (flags, mode, dirfd) = (call.shown_flags(), call.mode, call.dirfd);
    // SAFETY: as above.
    unsafe { open.write(Open { header, flags, mode, dirfd, ret: ret as i32, path_len }) };
    // PATH_LEN is all ones: the mask changes nothing but what the verifier knows.
    let len = size_of::<Open>() + bounded(path_len, PATH_LEN as u32) as usize;
    // SAFETY: as many bytes were written, and the record is longer.
    let bytes = unsafe { core::slice::from_raw_parts(record.cast::<u8>(), len) };
    match crate::output(ctx, bytes) {
        true => book!(ledger, submitted),
        false => book!(ledger, dropped),
    }
    Some(())
}

/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`, fs/open.c of 5.10 to 7.3: what
/// open, creat, openat and openat2 come to. `how` is the kernel's own copy.
#[inline(always)]
fn kernel_call(dirfd: i32, path: u64, how: *const OpenHow) -> Call {
    // SAFETY: the helper checks the address.
    let how = unsafe { bpf_probe_read_kernel(how) }.unwrap_or(OpenHow { flags: 0, mode: 0 });
    Call { path, how: 0, flags: how.flags, mode: how.mode as u32, dirfd }
}

/// A call that is known only when it returns.
#[inline(always)]
fn returned(ctx: &impl EbpfContext, call: &Call, ret: i64) -> Option<()> {
    let ledger = ledger_of(Kind::Open)?;
    if wanted(ledger) { emit(ctx, ledger, call, ret) } else { Some(()) }
}

/// Offset of the first argument in a `sys_enter_*` record, from the format file.
#[unsafe(no_mangle)]
static SYS_ENTER_ARGS: Global<u32> = Global::new(16);

/// All `sys_enter_*` records have the arguments one after the other, 8 bytes each (kernel/trace/trace_syscalls.c,
/// `struct syscall_trace_enter`).
#[inline(always)]
fn tp_enter(ctx: &TracePointContext, syscall: Syscall, count: usize) -> Option<()> {
    let mut arguments = [0; 4];
    for (index, argument) in arguments.iter_mut().enumerate().take(count) {
        // SAFETY: a checked read of the record.
        *argument = unsafe { ctx.read_at(SYS_ENTER_ARGS.load() as usize + 8 * index) }.unwrap_or(0);
    }
    enter(&Call::new(syscall, arguments))
}

/// The first four arguments. One read: the layout of the registers is what ptrace shows user space, and never
/// changes (arch/x86/include/uapi/asm/ptrace.h).
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn arguments(regs: *const u8) -> Option<[u64; 4]> {
    let [_, _, _, _, _, bx, _, r10, _, _, _, cx, dx, si, di] = read::<[u64; 15]>(regs, Some(0))?;
    if is_compat() == Some(true) {
        return Some([bx, cx, dx, si].map(|register| register & 0xffff_ffff));
    }
    Some([di, si, dx, r10])
}

/// The first four arguments: x0 to x3, which ptrace shows user space first (arch/arm64/include/uapi/asm/ptrace.h).
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn arguments(regs: *const u8) -> Option<[u64; 4]> {
    read(regs, Some(0))
}

/// At the return, with the arguments: nothing has to be remembered. The function returned `long` up to 6.18
/// and `int` in 7.3, where the upper half of the slot is not defined.
#[fexit(function = "do_sys_openat2")]
fn open_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let ret: i32 = ctx.arg(3);
        let call = kernel_call(ctx.arg(0), ctx.arg(1), ctx.arg(2));
        let _ = returned(&ctx, &call, ret.into());
    }
    0
}

#[kprobe(function = "do_sys_openat2")]
fn open_kprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        // What cannot be read is a fault on the record, not a call that nobody saw.
        let (path, how) = (ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(core::ptr::null()));
        let _ = enter(&kernel_call(ctx.arg(0).unwrap_or(AT_FDCWD), path, how));
    }
    0
}

/// The return after `open_kprobe`, which is lost where more calls are blocked than the kernel keeps room for: those
/// calls stay in `CALLS`, and the ledger has them as pending or unpaired.
#[kretprobe(function = "do_sys_openat2")]
fn open_kretprobe(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(&ctx, ctx.ret::<i32>().into());
    }
    0
}

/// `TP_PROTO(struct pt_regs *regs, long id)`, include/trace/events/syscalls.h
#[raw_tracepoint(tracepoint = "sys_enter")]
fn open_sys_enter(ctx: RawTracePointContext) -> i32 {
    if let Some(syscall) = opens(ctx.arg(1)) {
        if enabled() {
            let arguments = arguments(ctx.arg(0)).unwrap_or_default();
            let _ = enter(&Call::new(syscall, arguments));
        }
    }
    0
}

/// `TP_PROTO(struct pt_regs *regs, long ret)`
#[raw_tracepoint(tracepoint = "sys_exit")]
fn open_sys_exit(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = leave(&ctx, ctx.arg(1));
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_enter_open")]
fn open_tp_open(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = tp_enter(&ctx, Syscall::Open, 3);
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_enter_creat")]
fn open_tp_creat(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = tp_enter(&ctx, Syscall::Creat, 2);
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_enter_openat")]
fn open_tp_openat(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = tp_enter(&ctx, Syscall::Openat, 4);
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_enter_openat2")]
fn open_tp_openat2(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = tp_enter(&ctx, Syscall::Openat2, 4);
    }
    0
}

/// Attached to `sys_exit_open` and its three kin.
#[tracepoint(category = "syscalls", name = "sys_exit_openat")]
fn open_tp_exit(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = tp_ret(&ctx).and_then(|ret| leave(&ctx, ret));
    }
    0
}
