//! Executed programs, one record each, when the new program is about to run: its arguments are where they will stay, on
//! the new stack, which the kernel has just written. Or else the calls that fail to execute one, when they return.
//!
//! A module of each object that has them; the object says how a record is written (`crate::output`).

use aya_ebpf::{
    EbpfContext, Global,
    btf_maps::{HashMap, PerCpuArray, ProgramArray},
    helpers::{
        bpf_probe_read_user as probe_read_user,
        generated::{
            bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user,
            bpf_probe_read_user_str,
        },
    },
    macros::{btf_map, raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use ebpflab_common::{
    event::{Header, Kind},
    exec::{ARGS_LEN, Exec, ExecCall, FILENAME_LEN, MOST_ARGS, PATH_LEN},
    filter::{Filter, Task as _},
    open::{AT_FDCWD, FULL_PATH_LEN},
    syscall::ExecSyscall,
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{self, bounded, read},
    ledger::ledger_of,
    registers::{self, execs, is_compat},
    task::{Current, parent, task},
};

use crate::{
    event, exits,
    filter::filter,
    paths::{self, Place, State, Walk, Walker},
    sys_enter::tp_arguments,
    sys_exit::tp_ret,
};

/// What the verifier knows about the lengths: of the file name and the two paths, and of the arguments.
const PATH_MASK: u32 = 0xfff;
const ARGS_MASK: u32 = 0x3fff;
/// And about where an argument begins.
const ARG_MASK: u32 = 0x1fff;
const _: () = assert!(FILENAME_LEN <= PATH_MASK as usize && PATH_LEN == PATH_MASK as usize);
const _: () = assert!(ARGS_LEN == ARG_MASK as usize + 1 && ARGS_LEN < ARGS_MASK as usize);

/// A record before it is known how long it is.
#[repr(C)]
struct Record {
    exec: Exec,
    /// One byte more than the longest file name, so that a longer one shows.
    strings: [u8; 3 * PATH_MASK as usize + ARGS_MASK as usize + 2],
    /// What the walk leads to: the executable (0) or the working directory (1).
    is_at_cwd: u32,
}

/// One for each CPU: the kernel does not run a program while it is running on the same CPU already, and either calls
/// that fail are recorded or those that do not.
#[btf_map]
static EXEC_SCRATCH: PerCpuArray<Record, 1> = PerCpuArray::new();

/// Calls that have not returned, by thread id, where those that fail are asked for.
#[btf_map]
static EXEC_CALLS: HashMap<u32, ExecCall, 16_384> = HashMap::new();

/// The program that finds the paths, for each type of programs that may be the first.
#[btf_map]
static EXEC_ON_TP: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static EXEC_ON_RAW_TP: ProgramArray<1> = ProgramArray::new();

const BPF_ANY: u64 = 0;

/// Books an exec, records what is known at once, and lets another program go on with the walks to the paths; `on` has
/// it. `filename` is a kernel address, null where it is not known; `old_tid` the id that the thread had before.
#[inline(always)]
fn executed(ctx: &impl EbpfContext, filename: *const u8, old_tid: u32, on: &ProgramArray<1>) -> Option<()> {
    // SAFETY: no arguments, no side effects.
    let time = unsafe { bpf_ktime_get_boot_ns() };
    exits::executed(time);
    let ledger = ledger_of(Kind::Exec)?;
    if filter().wants(Filter::FAILED) {
        // The call is over: it does not return to the program that made it. Not seen where that was filtered out.
        if EXEC_CALLS.remove(&old_tid).is_ok() {
            book!(ledger, filtered);
        }
        return Some(());
    }
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return Some(());
    }
    let record = EXEC_SCRATCH.get_ptr_mut(0)?;
    let mut marks = 0;
    // SAFETY: the helper checks the address; the buffer is longer.
    let len = unsafe { bpf_probe_read_kernel_str(strings(record).cast(), FILENAME_LEN as u32 + 1, filename.cast()) };
    let filename_len = match len {
        1..=4096 => len as u32 - 1,
        _ => {
            marks |= Header::FAULT;
            0
        }
    };
    let filename_len = bounded(filename_len, PATH_MASK);

    let (start, end) = arguments().unwrap_or((0, 0));
    let mut args_len = end.wrapping_sub(start) as u32;
    if args_len > ARGS_LEN as u32 {
        args_len = ARGS_LEN as u32;
        marks |= Header::TRUNCATED;
    }
    args_len = bounded(args_len, ARGS_MASK);
    // SAFETY: the helper checks the address; both lengths together are not longer than the buffer.
    let read_args =
        unsafe { bpf_probe_read_user(strings(record).add(filename_len as usize).cast(), args_len, start as *const _) };
    if read_args != 0 || start == 0 {
        marks |= Exec::ARGS_FAULT;
        args_len = 0;
    }
    let argc = argument_count().unwrap_or(Exec::UNKNOWN);
    let file = executable().unwrap_or(Place::NOWHERE);
    if file.is_unhashed() {
        marks |= Exec::PATH_UNLINKED << Exec::EXE;
    }
    // The exit of the process tells the same time.
    let header = Header { time, marks, ..event::header(Kind::Exec) };
    describe(record, Exec { header, argc, filename_len, args_len, ..Exec::default() });
    paths::start(paths::walk(Walker::Exec)?, Some(file), core::ptr::null(), 0);
    // SAFETY: a value of the map, and nobody else writes it meanwhile; nothing is held here.
    unsafe {
        (*record).is_at_cwd = 0;
        on.tail_call(ctx, 0);
    }
    // The program that goes on is there as long as this one may run.
    book!(ledger, dropped);
    Some(())
}

#[inline(always)]
fn strings(record: *mut Record) -> *mut u8 {
    // SAFETY: a value of the map.
    unsafe { (&raw mut (*record).strings).cast() }
}

/// Writes the fixed part of a record, with what is the same for all: who logged in, and the parent.
#[inline(always)]
fn describe(record: *mut Record, exec: Exec) {
    let (ppid, parent_comm) = parent().unwrap_or_default();
    let loginuid = read(task(), kernel::task_struct_loginuid_val()).unwrap_or(Exec::UNKNOWN);
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    unsafe { (&raw mut (*record).exec).write(Exec { ppid, parent_comm, loginuid, ..exec }) };
}

/// Goes on with a walk, in the same program once more if it takes long; then with the second one; then writes the
/// record.
#[inline(always)]
fn go_on(ctx: &impl EbpfContext, on: &ProgramArray<1>) -> Option<()> {
    let walk = paths::walk(Walker::Exec)?;
    if !paths::go(walk) {
        // SAFETY: nothing is held here. It comes back where the chain of programs is as long as the kernel allows.
        unsafe { on.tail_call(ctx, 0) };
    }
    let record = EXEC_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    unsafe {
        if (*record).is_at_cwd == 0 {
            (*record).exec.exe_len = add_path(record, walk, Exec::EXE, 0);
            walk_to_cwd(record, walk);
            on.tail_call(ctx, 0);
        }
        let exe_len = bounded((*record).exec.exe_len, PATH_MASK);
        (*record).exec.cwd_len = add_path(record, walk, Exec::CWD, exe_len);
    }
    finish(ctx, record)
}

/// Starts the second walk.
#[inline(always)]
fn walk_to_cwd(record: *mut Record, walk: *mut Walk) {
    let cwd = Place::of_dirfd(AT_FDCWD).unwrap_or(Place::NOWHERE);
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    unsafe {
        if cwd.is_unlinked() {
            (*record).exec.header.marks |= Exec::PATH_UNLINKED << Exec::CWD;
        }
        (*record).is_at_cwd = 1;
    }
    paths::start(walk, Some(cwd), core::ptr::null(), 0);
}

/// Adds the path that a walk led to behind the arguments and what is there already, and marks what is wrong with it;
/// returns its length.
#[inline(always)]
fn add_path(record: *mut Record, walk: *mut Walk, which: u16, before: u32) -> u32 {
    let (state, path, whole) = paths::found(walk);
    let cut = bounded(whole.saturating_sub(PATH_MASK), FULL_PATH_LEN as u32);
    let len = bounded(whole - cut, PATH_MASK);
    let mut marks = match state {
        State::Skipped | State::Root => 0,
        State::Outside => Exec::PATH_OUTSIDE,
        State::Walking | State::Full => Exec::PATH_TRUNCATED,
        State::Fault => Exec::PATH_FAULT,
    };
    if cut > 0 {
        marks |= Exec::PATH_TRUNCATED;
    }
    // SAFETY: values of maps, that nobody else writes meanwhile; all lengths together are not longer than the buffer.
    unsafe {
        (*record).exec.header.marks |= marks << which;
        let filename_len = bounded((*record).exec.filename_len, PATH_MASK);
        let args_len = bounded((*record).exec.args_len, ARGS_MASK);
        let to = strings(record).add(filename_len as usize + args_len as usize + before as usize);
        bpf_probe_read_kernel(to.cast(), len, path.add(cut as usize).cast());
    }
    len
}

/// Books a record that is complete, and writes it.
#[inline(always)]
fn finish(ctx: &impl EbpfContext, record: *mut Record) -> Option<()> {
    const FAULTS: u16 =
        Header::FAULT | Exec::ARGS_FAULT | Exec::PATH_FAULT << Exec::EXE | Exec::PATH_FAULT << Exec::CWD;
    const CUTS: u16 = Header::TRUNCATED
        | Exec::FILENAME_TRUNCATED
        | Exec::PATH_TRUNCATED << Exec::EXE
        | Exec::PATH_TRUNCATED << Exec::CWD;
    let ledger = ledger_of(Kind::Exec)?;
    // SAFETY: it was written before.
    let exec = unsafe { &(*record).exec };
    if exec.header.marks & FAULTS != 0 {
        book!(ledger, faults);
    }
    if exec.header.marks & CUTS != 0 {
        book!(ledger, truncated);
    }
    let length = |len, mask| bounded(len, mask) as usize;
    let strings = length(exec.filename_len, PATH_MASK) + length(exec.args_len, ARGS_MASK);
    let paths = length(exec.exe_len, PATH_MASK) + length(exec.cwd_len, PATH_MASK);
    let len = size_of::<Exec>() + strings + paths;
    // SAFETY: as many bytes were written, and the record is longer.
    let bytes = unsafe { core::slice::from_raw_parts(record.cast::<u8>(), len) };
    match crate::output(ctx, bytes) {
        true => book!(ledger, submitted),
        false => book!(ledger, dropped),
    }
    Some(())
}

/// Remembers a call until it returns, or does not return since it succeeded.
#[inline(always)]
fn enter(call: &ExecCall) -> Option<()> {
    let ledger = ledger_of(Kind::Exec)?;
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return Some(());
    }
    let (_, tid) = Current.pid_tid();
    // A call before it never returned: that of a thread of this id which was killed.
    if EXEC_CALLS.remove(&tid).is_ok() {
        book!(ledger, unpaired);
    }
    if EXEC_CALLS.insert(&tid, call, BPF_ANY).is_err() {
        book!(ledger, unpaired);
    }
    Some(())
}

/// A call of this thread returns, and it is one that executes programs: it failed.
#[inline(always)]
fn leave(ctx: &impl EbpfContext, ret: i64, on: &ProgramArray<1>) -> Option<()> {
    let (_, tid) = Current.pid_tid();
    // SAFETY: only this thread writes its entry.
    let call = unsafe { *EXEC_CALLS.get_ptr(&tid)? };
    let _ = EXEC_CALLS.remove(&tid);
    let record = EXEC_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the helper checks the address; the buffer is longer than it is told.
    let len =
        unsafe { bpf_probe_read_user_str(strings(record).cast(), FILENAME_LEN as u32 + 2, call.filename as *const _) };
    let (filename_len, marks) = match len {
        // An empty name, without its NUL: so 5.10 counts it (mm/maccess.c, strncpy_from_user_nofault).
        0 => (0, 0),
        // The closing NUL is counted; one byte more than fits says that the name goes on.
        1..=4096 => (len as u32 - 1, 0),
        4097.. => (FILENAME_LEN as u32, Exec::FILENAME_TRUNCATED),
        _ => (0, Header::FAULT),
    };
    let header = Header { marks, ..event::header(Kind::Exec) };
    describe(record, Exec { header, ret: ret as i32, filename_len, ..Exec::default() });
    copy_arguments(record, &call, bounded(filename_len, PATH_MASK));
    let walk = paths::walk(Walker::Exec)?;
    walk_to_cwd(record, walk);
    // SAFETY: nothing is held here.
    unsafe { on.tail_call(ctx, 0) };
    // The program that goes on is there as long as this one may run.
    book!(ledger_of(Kind::Exec)?, dropped);
    Some(())
}

/// Copies the arguments of a call behind its file name, one after the other, each closed by NUL.
#[inline(always)]
fn copy_arguments(record: *mut Record, call: &ExecCall, filename_len: u32) {
    let mut index = 0_u64;
    // SAFETY: a value of the map, and nobody else writes it meanwhile. The index goes through memory for the reason that
    // `paths::go` tells.
    unsafe {
        let exec = &raw mut (*record).exec;
        // No arguments at all, which the kernel takes for none.
        if call.argv == 0 {
            return;
        }
        loop {
            let argc = (&raw const index).read_volatile();
            let Some(argument) = argument(call, argc) else {
                (*exec).header.marks |= Exec::ARGS_FAULT;
                break;
            };
            if argument == 0 {
                (*exec).argc = argc as u32;
                return;
            }
            let at = (*exec).args_len;
            if argc >= MOST_ARGS || at >= ARGS_LEN as u32 {
                (*exec).header.marks |= Header::TRUNCATED;
                break;
            }
            let at = bounded(at, ARG_MASK);
            let to = strings(record).add(filename_len as usize + at as usize);
            // One byte more than fits, so that an argument that goes on shows.
            let room = bounded(ARGS_LEN as u32 + 1 - at, ARGS_MASK);
            let len = bpf_probe_read_user_str(to.cast(), room, argument as *const _);
            if len < 0 {
                (*exec).header.marks |= Exec::ARGS_FAULT;
                break;
            }
            if len as u32 >= room {
                (*exec).header.marks |= Header::TRUNCATED;
                (*exec).args_len = ARGS_LEN as u32;
                break;
            }
            // An empty one is zero bytes long to 5.10.
            if len == 0 {
                to.write(0);
            }
            (*exec).args_len = at + if len == 0 { 1 } else { len as u32 };
            (&raw mut index).write_volatile(argc + 1);
        }
        // Not all were looked at.
        (*exec).argc = Exec::UNKNOWN;
        if (*exec).header.has(Exec::ARGS_FAULT) {
            (*exec).args_len = 0;
        }
    }
}

/// The address of an argument.
#[inline(always)]
fn argument(call: &ExecCall, index: u64) -> Option<u64> {
    let address = call.argv + index * call.pointer_len;
    // SAFETY: the helper checks the address.
    unsafe {
        match call.pointer_len {
            4 => probe_read_user(address as *const u32).ok().map(u64::from),
            _ => probe_read_user(address as *const u64).ok(),
        }
    }
}

/// What is executed from now on: for a script that is its interpreter.
#[inline(always)]
fn executable() -> Option<Place> {
    let mm: *const u8 = read(task(), kernel::task_struct_mm())?;
    Place::of_file(read(mm, kernel::mm_struct_exe_file())?)
}

/// Where the arguments of the new program begin and end in its memory.
#[inline(always)]
fn arguments() -> Option<(u64, u64)> {
    let mm: *const u8 = read(task(), kernel::task_struct_mm())?;
    Some((read(mm, kernel::mm_struct_arg_start())?, read(mm, kernel::mm_struct_arg_end())?))
}

/// How many arguments the new program has: the kernel writes that to where it sets the stack pointer, as the ABIs say
/// (fs/binfmt_elf.c, `create_elf_tables`), 4 or 8 bytes of which the first 4 come first.
#[inline(always)]
fn argument_count() -> Option<u32> {
    let mm: *const u8 = read(task(), kernel::task_struct_mm())?;
    let stack: u64 = read(mm, kernel::mm_struct_start_stack())?;
    // SAFETY: the helper checks the address.
    unsafe { probe_read_user(stack as *const u32) }.ok()
}

/// Offset of `filename` in the record of `sched_process_exec`, from the format file.
#[unsafe(no_mangle)]
static FILENAME: Global<u32> = Global::new(8);

/// Offset of `old_pid` in the same record.
#[unsafe(no_mangle)]
static OLD_PID: Global<u32> = Global::new(16);

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

/// The thread's id before in the same record.
#[inline(always)]
fn tp_old_tid(ctx: &TracePointContext) -> Option<u32> {
    // SAFETY: as above.
    unsafe { ctx.read_at(OLD_PID.load() as usize) }.ok()
}

#[tracepoint(category = "sched", name = "sched_process_exec")]
fn exec_tp(ctx: TracePointContext) -> u32 {
    if enabled() {
        let filename = tp_filename(&ctx).unwrap_or(core::ptr::null());
        let _ = executed(&ctx, filename, tp_old_tid(&ctx).unwrap_or(0), &EXEC_ON_TP);
    }
    0
}

#[tracepoint(category = "sched", name = "sched_process_exec")]
fn exec_tp_on(ctx: TracePointContext) -> u32 {
    let _ = go_on(&ctx, &EXEC_ON_TP);
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn exec_raw_tp(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let filename = raw_filename(&ctx).unwrap_or(core::ptr::null());
        let _ = executed(&ctx, filename, ctx.arg(1), &EXEC_ON_RAW_TP);
    }
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exec")]
fn exec_raw_tp_on(ctx: RawTracePointContext) -> i32 {
    let _ = go_on(&ctx, &EXEC_ON_RAW_TP);
    0
}

/// File name and arguments of a call.
#[inline(always)]
fn call_of(syscall: ExecSyscall, [a, b, c, _]: [u64; 4], pointer_len: u64) -> ExecCall {
    match syscall {
        ExecSyscall::Execve => ExecCall { filename: a, argv: b, pointer_len },
        ExecSyscall::Execveat => ExecCall { filename: b, argv: c, pointer_len },
    }
}

/// `TP_PROTO(struct pt_regs *regs, long id)`, include/trace/events/syscalls.h
#[raw_tracepoint(tracepoint = "sys_enter")]
fn exec_sys_enter(ctx: RawTracePointContext) -> i32 {
    let number = ctx.arg(1);
    if let Some(syscall) = execs(number) {
        if enabled() {
            let is_32_bit = is_compat() == Some(true) || ExecSyscall::is_x32(number);
            let arguments = registers::arguments(ctx.arg(0)).unwrap_or_default();
            let _ = enter(&call_of(syscall, arguments, if is_32_bit { 4 } else { 8 }));
        }
    }
    0
}

/// `TP_PROTO(struct pt_regs *regs, long ret)`. The call is looked at too: an entry may be that of a thread of the same id
/// which was killed.
#[raw_tracepoint(tracepoint = "sys_exit")]
fn exec_sys_exit(ctx: RawTracePointContext) -> i32 {
    let ret: i64 = ctx.arg(1);
    if ret < 0 && registers::number(ctx.arg(0)).and_then(execs).is_some() && enabled() {
        let _ = leave(&ctx, ret, &EXEC_ON_RAW_TP);
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_enter_execve")]
fn exec_tp_enter(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = enter(&call_of(ExecSyscall::Execve, tp_arguments(&ctx, 2), 8));
    }
    0
}

#[tracepoint(category = "syscalls", name = "sys_enter_execveat")]
fn exec_tp_enterat(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = enter(&call_of(ExecSyscall::Execveat, tp_arguments(&ctx, 3), 8));
    }
    0
}

/// Attached to `sys_exit_execve` and `sys_exit_execveat`.
#[tracepoint(category = "syscalls", name = "sys_exit_execve")]
fn exec_tp_exit(ctx: TracePointContext) -> u32 {
    if enabled() {
        if let Some(ret) = tp_ret(&ctx).filter(|ret| *ret < 0) {
            let _ = leave(&ctx, ret, &EXEC_ON_TP);
        }
    }
    0
}
