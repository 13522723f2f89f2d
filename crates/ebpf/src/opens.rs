//! Opened files: open, creat, openat and openat2, one record each when the call returns. The path is read then: the
//! kernel has just read it, so its page is resident, which at entry it need not be.
//!
//! A module of each object that has them; the object says how a record is written (`crate::output`).

use aya_ebpf::{
    EbpfContext,
    btf_maps::{Array, HashMap, PerCpuArray, ProgramArray},
    helpers::{
        bpf_probe_read_kernel as probe_read_kernel, bpf_probe_read_user,
        generated::{bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_probe_read_user_str},
    },
    macros::{btf_map, fentry, fexit, kprobe, kretprobe, raw_tracepoint, tracepoint},
    programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext},
};
use ebpflab_common::{
    event::{Header, Kind},
    filter::{Filter, PathPrefix, Task as _},
    ledger::Ledger,
    open::{AT_FDCWD, Call, FULL_PATH_LEN, Open, PATH_LEN},
    syscall::Syscall,
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{self, bounded, read},
    ledger::ledger_of,
    registers::{arguments, number, opens, path_at_return},
    task::{Current, file},
};

use crate::{
    event,
    filter::filter,
    paths::{self, Place, State, Walker},
    sys_enter::tp_arguments,
    sys_exit::tp_ret,
};

/// Calls that have not returned, by thread id.
#[btf_map]
static CALLS: HashMap<u32, Call, 16_384> = HashMap::new();

/// A record before it is known how long it is.
#[repr(C)]
struct Record {
    open: Open,
    /// One byte more than the longest path, so that a longer one shows; then the whole path.
    paths: [u8; PATH_LEN + 1 + FULL_PATH_LEN + 1],
    /// No part of what is written: the first bytes of the whole path, where words can be read.
    start: [u64; PathPrefix::WORDS],
}

/// One for each CPU: the kernel does not run a program while it is running on the same CPU already.
#[btf_map]
static OPEN_SCRATCH: PerCpuArray<Record, 1> = PerCpuArray::new();

/// How whole paths have to begin, where the filter says so.
#[btf_map]
static PATH_PREFIX: Array<PathPrefix, 1> = Array::new();

/// The program that finds the whole path, for each type of programs that may be the first: a program only calls
/// one of its own type.
#[btf_map]
static OPEN_ON_FEXIT: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static OPEN_ON_KRET: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static OPEN_ON_SYS: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static OPEN_ON_TP: ProgramArray<1> = ProgramArray::new();

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
        // SAFETY: no arguments, no side effects.
        let time = unsafe { bpf_ktime_get_boot_ns() };
        if CALLS.insert(&tid, &Call { time, ..*call }, BPF_ANY).is_err() {
            book!(ledger, unpaired);
        }
    }
    Some(())
}

/// The call of this thread returns: what is known at once is recorded, and another program goes on with the walk to the
/// whole path; `on` has it. `is_return_of` says whether it is that call: where the kernel skipped the run at its return,
/// it is the one before that is remembered.
#[inline(always)]
fn leave(
    ctx: &impl EbpfContext,
    ret: i64,
    on: &ProgramArray<1>,
    is_return_of: impl FnOnce(&Call) -> bool,
) -> Option<()> {
    let (_, tid) = Current.pid_tid();
    // SAFETY: only this thread writes its entry.
    let mut call = unsafe { *CALLS.get_ptr(&tid)? };
    let _ = CALLS.remove(&tid);
    if !is_return_of(&call) {
        book!(ledger_of(Kind::Open)?, unpaired);
        return Some(());
    }
    if filter().wants(Filter::FAILED) && ret >= 0 {
        book!(ledger_of(Kind::Open)?, filtered);
        return Some(());
    }
    if call.how != 0 {
        // SAFETY: the helper checks the address. If it fails, the kernel could not read it either.
        if let Ok(how) = unsafe { bpf_probe_read_user(call.how as *const OpenHow) } {
            (call.flags, call.mode) = (how.flags, how.mode as u32);
        }
    }
    let record = OPEN_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    let (open, path) = unsafe { (&raw mut (*record).open, (&raw mut (*record).paths).cast::<u8>()) };
    let (path_len, mut marks) = read_path(path, call.path);
    let (mut inode, mut device) = (0, 0);
    // Where the walk begins, and how much of the path as given stands behind what it finds.
    let (at, tail_len) = if ret >= 0 {
        let file = file(ret as i32);
        let at = file.and_then(Place::of_file);
        if at.is_some_and(|at| at.is_unlinked()) {
            marks |= Open::UNLINKED;
        }
        (inode, device) = file.and_then(identity).unwrap_or((0, 0));
        (at, 0)
    } else if marks & Header::FAULT != 0 {
        (None, 0)
    } else {
        (Place::of_dirfd(call.dirfd), path_len)
    };
    let walk = paths::walk(Walker::Open)?;
    // SAFETY: the first byte of the path.
    if tail_len > 0 && unsafe { path.read() } == b'/' {
        marks |= Open::FULL_PATH_IS_PATH;
        paths::skip(walk);
    } else {
        paths::start(walk, at, path, tail_len);
    }
    let mut header = event::header(Kind::Open);
    header.marks = marks;
    let latency = header.time.wrapping_sub(call.time);
    let (flags, mode, dirfd, ret) = (call.shown_flags(), call.mode, call.dirfd, ret as i32);
    // SAFETY: as above.
    unsafe {
        open.write(Open { header, flags, mode, dirfd, ret, path_len, latency, inode, device, full_path_len: 0 });
        on.tail_call(ctx, 0);
    }
    // The program that goes on is there as long as this one may run.
    book!(ledger_of(Kind::Open)?, dropped);
    Some(())
}

/// Whether it is this call that returns, as far as the registers show that.
#[inline(always)]
fn returns_from(call: &Call, regs: *const u8) -> bool {
    match number(regs) {
        Some(number) => {
            opens(number).is_some_and(|syscall| path_at_return(syscall, regs).is_none_or(|path| path == call.path))
        }
        None => true,
    }
}

/// Goes on with the walk, in the same program once more if it takes long, and then writes the record.
#[inline(always)]
fn go_on(ctx: &impl EbpfContext, on: &ProgramArray<1>) -> Option<()> {
    if !paths::go(paths::walk(Walker::Open)?) {
        // SAFETY: nothing is held here. It comes back where the chain of programs is as long as the kernel allows.
        unsafe { on.tail_call(ctx, 0) };
    }
    finish(ctx)
}

/// Reads the path of a call; returns its length and what is wrong with it.
#[inline(always)]
fn read_path(path: *mut u8, address: u64) -> (u32, u16) {
    // SAFETY: the helper checks the address; the buffer is longer than it is told.
    let read = unsafe { bpf_probe_read_user_str(path.cast(), PATH_LEN as u32 + 2, address as *const _) };
    match read {
        // An empty path, without its NUL: so 5.10 counts it (mm/maccess.c, strncpy_from_user_nofault).
        0 => (0, 0),
        // The closing NUL is counted in `read`; one byte more than fits says that the path goes on.
        1..=4096 => (read as u32 - 1, 0),
        4097.. => (PATH_LEN as u32, Header::TRUNCATED),
        _ => (0, Header::FAULT),
    }
}

/// Inode number and device of an open file.
#[inline(always)]
fn identity(file: *const u8) -> Option<(u64, u32)> {
    let inode: *const u8 = read(file, kernel::file_f_inode())?;
    let device = read(read(inode, kernel::inode_i_sb())?, kernel::super_block_s_dev())?;
    Some((read(inode, kernel::inode_i_ino())?, device))
}

/// Adds the whole path to the record, and writes it.
#[inline(always)]
fn finish(ctx: &impl EbpfContext) -> Option<()> {
    let ledger = ledger_of(Kind::Open)?;
    let record = OPEN_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    let (open, text) = unsafe { (&raw mut (*record).open, (&raw mut (*record).paths).cast::<u8>()) };
    // SAFETY: it was written before.
    let (mut marks, path_len) = unsafe { ((*open).header.marks, bounded((*open).path_len, PATH_LEN as u32)) };
    let (state, full_path, len) = paths::found(paths::walk(Walker::Open)?);
    marks |= match state {
        State::Skipped | State::Root => 0,
        State::Outside => Open::OUTSIDE,
        State::Walking | State::Full => Open::FULL_PATH_TRUNCATED,
        State::Fault => Open::FULL_PATH_FAULT,
    };
    let full_path_len = bounded(len, FULL_PATH_LEN as u32);
    if filter().wants(Filter::PATH_PREFIX) {
        let (whole, len) = match state {
            State::Skipped => (text.cast_const(), path_len),
            _ => (full_path, full_path_len),
        };
        if marks & (Open::FULL_PATH_FAULT | Open::FULL_PATH_TRUNCATED) == 0 && !has_prefix(record, whole, len)? {
            book!(ledger, filtered);
            return Some(());
        }
    }
    // SAFETY: both lengths together are not longer than the buffer; the source is a value of another map.
    unsafe {
        bpf_probe_read_kernel(text.add(path_len as usize).cast(), full_path_len, full_path.cast());
    }
    if marks & (Header::FAULT | Open::FULL_PATH_FAULT) != 0 {
        book!(ledger, faults);
    }
    if marks & (Header::TRUNCATED | Open::FULL_PATH_TRUNCATED) != 0 {
        book!(ledger, truncated);
    }
    // SAFETY: as above.
    unsafe {
        (*open).header.marks = marks;
        (*open).full_path_len = full_path_len;
    }
    let len = size_of::<Open>() + path_len as usize + full_path_len as usize;
    // SAFETY: as many bytes were written, and the record is longer.
    let bytes = unsafe { core::slice::from_raw_parts(record.cast::<u8>(), len) };
    match crate::output(ctx, bytes) {
        true => book!(ledger, submitted),
        false => book!(ledger, dropped),
    }
    Some(())
}

/// Whether a whole path begins as it has to.
#[inline(always)]
fn has_prefix(record: *mut Record, whole: *const u8, len: u32) -> Option<bool> {
    let prefix = PATH_PREFIX.get_ptr(0)?;
    // SAFETY: values of maps, of which the first is only written before programs run, and the other by nobody else
    // meanwhile; the helper checks the address of the path. (In both maps that it may be in that many bytes follow.)
    unsafe {
        let start = &raw mut (*record).start;
        if bpf_probe_read_kernel(start.cast(), PathPrefix::SIZE as u32, whole.cast()) != 0 {
            return Some(true);
        }
        Some((*prefix).matches(&*start, len))
    }
}

/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`, fs/open.c of 5.10 to 7.3: what
/// open, creat, openat and openat2 come to. `how` is the kernel's own copy.
#[inline(always)]
fn kernel_call(dirfd: i32, path: u64, how: *const OpenHow) -> Call {
    // SAFETY: the helper checks the address.
    let how = unsafe { probe_read_kernel(how) }.unwrap_or(OpenHow { flags: 0, mode: 0 });
    Call { path, flags: how.flags, mode: how.mode as u32, dirfd, ..Call::default() }
}

#[inline(always)]
fn tp_enter(ctx: &TracePointContext, syscall: Syscall, count: usize) -> Option<()> {
    enter(&Call::new(syscall, tp_arguments(ctx, count)))
}

#[fentry(function = "do_sys_openat2")]
fn open_fentry(ctx: FEntryContext) -> i32 {
    if enabled() {
        let _ = enter(&kernel_call(ctx.arg(0), ctx.arg(1), ctx.arg(2)));
    }
    0
}

/// The function returned `long` up to 6.18 and `int` in 7.3, where the upper half of the slot is not defined.
#[fexit(function = "do_sys_openat2")]
fn open_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let ret: i32 = ctx.arg(3);
        let path: u64 = ctx.arg(1);
        let _ = leave(&ctx, ret.into(), &OPEN_ON_FEXIT, |call| call.path == path);
    }
    0
}

#[fexit(function = "do_sys_openat2")]
fn open_on_fexit(ctx: FExitContext) -> i32 {
    let _ = go_on(&ctx, &OPEN_ON_FEXIT);
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
        let _ = leave(&ctx, ctx.ret::<i32>().into(), &OPEN_ON_KRET, |_| true);
    }
    0
}

#[kretprobe(function = "do_sys_openat2")]
fn open_on_kret(ctx: RetProbeContext) -> u32 {
    let _ = go_on(&ctx, &OPEN_ON_KRET);
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
        let _ = leave(&ctx, ctx.arg(1), &OPEN_ON_SYS, |call| returns_from(call, ctx.arg(0)));
    }
    0
}

#[raw_tracepoint(tracepoint = "sys_exit")]
fn open_on_sys(ctx: RawTracePointContext) -> i32 {
    let _ = go_on(&ctx, &OPEN_ON_SYS);
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
        let _ = tp_ret(&ctx).and_then(|ret| leave(&ctx, ret, &OPEN_ON_TP, |_| true));
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_exit_openat")]
fn open_on_tp(ctx: TracePointContext) -> u32 {
    let _ = go_on(&ctx, &OPEN_ON_TP);
    0
}
