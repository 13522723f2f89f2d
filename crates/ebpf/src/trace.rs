//! Calls of a function, one record each when it returns, with what is in memory at an address that it is given or
//! returns: of the kernel, a program or a library.
//!
//! Memory is read at the return: what a call reads is resident then, and what it writes is written.
#![no_std]
#![no_main]

mod cgroups;
mod event;
mod filter;
mod frames;
mod wakeup;

use aya_ebpf::{
    Global,
    btf_maps::{PerCpuArray, RingBuf},
    helpers::generated::{
        bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user,
        bpf_probe_read_user_str,
    },
    macros::{btf_map, fentry, fexit, kprobe, kretprobe, uprobe, uretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use ebpflab_common::{
    event::{Header, Kind},
    filter::Filter,
    ledger::Ledger,
    returns::Value,
    trace::{Call, DATA_LEN, Read, Trace},
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{bounded, read},
    ledger::ledger_of,
    registers::{argument_offset, stack_at_entry, stack_at_return},
};

use crate::{filter::filter, frames::address_of};

type Known = Call;

/// The size is set by the loader.
#[btf_map]
static EVENTS: RingBuf<Trace, 4096> = RingBuf::new();

/// A record before it is known how long it is.
#[repr(C)]
struct Record {
    trace: Trace,
    /// One byte more than the longest string with its NUL, so that a longer one shows.
    data: [u8; DATA_LEN + 2],
}

/// One for each CPU: the kernel does not run a program while it is running on the same CPU already.
#[btf_map]
static SCRATCH: PerCpuArray<Record, 1> = PerCpuArray::new();

/// What is read.
#[unsafe(no_mangle)]
static READ: Global<Read> = Global::new(Read { what: Read::NOTHING, place: 0 });

/// How much of the register is the value; no bits for a function that returns nothing.
#[unsafe(no_mangle)]
static VALUE: Global<Value> = Global::new(Value::LONG);

/// How many words of arguments a trampoline has before the value.
#[unsafe(no_mangle)]
static ARGUMENTS: Global<u32> = Global::new(0);

/// This CPU's counters.
#[inline(always)]
fn ledger() -> Option<*mut Ledger> {
    ledger_of(Kind::Trace)
}

/// The same trampoline calls both programs, with what is on its stack.
#[fentry]
fn trace_fentry(ctx: FEntryContext) -> i32 {
    if enabled() {
        let _ = address_of(&ctx).and_then(|frame| enter(frame, frame, READ.load().place as usize * size_of::<u64>()));
    }
    0
}

#[fexit]
fn trace_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let _ = address_of(&ctx).and_then(leave_trampoline);
    }
    0
}

#[kprobe]
fn trace_kprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = enter_probe(&ctx);
    }
    0
}

/// Where more calls are blocked than the kernel keeps room for it loses the returns of some.
#[kretprobe]
fn trace_kret(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(stack_at_return(&ctx), ctx.ret());
    }
    0
}

#[uprobe]
fn trace_uprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = enter_probe(&ctx);
    }
    0
}

#[uretprobe]
fn trace_uret(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(stack_at_return(&ctx), ctx.ret());
    }
    0
}

#[inline(always)]
fn enter_probe(ctx: &ProbeContext) -> Option<()> {
    let offset = argument_offset(READ.load().place);
    enter(stack_at_entry(ctx), address_of(ctx)?, offset)
}

/// A call begins; the argument that is an address is `offset` bytes behind `base`.
#[inline(always)]
fn enter(stack: u64, base: u64, offset: usize) -> Option<()> {
    frames::enter(stack, || {
        let Read { what, place } = READ.load();
        let is_asked = what != Read::NOTHING && place != Read::RETURNED;
        let address = if is_asked { read(base as *const u8, Some(offset)).unwrap_or(0) } else { 0 };
        // SAFETY: no arguments, no side effects.
        Call { time: unsafe { bpf_ktime_get_boot_ns() }, address }
    })
}

/// Behind the arguments, whose number the verifier would have to know for a plain read (bpf_get_func_ret is there from
/// 5.17 on).
#[inline(always)]
fn leave_trampoline(frame: u64) -> Option<()> {
    let value = read(frame as *const u8, Some(ARGUMENTS.load() as usize * size_of::<u64>()))?;
    leave(frame, value)
}

/// A call returns: writes its record.
#[inline(always)]
fn leave(stack: u64, register: u64) -> Option<()> {
    let call = frames::leave(stack)?;
    let ledger = ledger()?;
    let asked = VALUE.load();
    let (value, mut marks) = if asked.bits == 0 { (0, Trace::NO_VALUE) } else { (asked.of(register), 0) };
    if filter().wants(Filter::FAILED) && value >= 0 {
        book!(ledger, filtered);
        return Some(());
    }
    let record = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    let (trace, data) = unsafe { (&raw mut (*record).trace, (&raw mut (*record).data).cast::<u8>()) };
    let Read { what, place } = READ.load();
    let address = if place == Read::RETURNED { register } else { call.address };
    let (data_len, found) = match what {
        Read::STRING if address != 0 => read_string(data, address),
        Read::BYTES if address != 0 && value > 0 => read_bytes(data, address, value as u64),
        _ => (0, Trace::NO_DATA),
    };
    marks |= found;
    let mut header = event::header(Kind::Trace);
    header.marks = marks;
    let latency = header.time.wrapping_sub(call.time);
    // SAFETY: as above.
    unsafe { trace.write(Trace { header, value, latency, data_len, padding: 0 }) };
    if marks & Header::FAULT != 0 {
        book!(ledger, faults);
    }
    if marks & Header::TRUNCATED != 0 {
        book!(ledger, truncated);
    }
    let len = size_of::<Trace>() + bounded(data_len, DATA_LEN as u32) as usize;
    // SAFETY: as many bytes were written, and the record is longer.
    let bytes = unsafe { core::slice::from_raw_parts(record.cast::<u8>(), len) };
    match EVENTS.output_untyped::<[u8]>(bytes, wakeup::flags((&raw const EVENTS).cast_mut().cast())) {
        Ok(()) => book!(ledger, submitted),
        Err(_) => book!(ledger, dropped),
    }
    Some(())
}

/// Whether an address is one of the kernel: in the upper half (Documentation/arch/x86/x86_64/mm.rst,
/// Documentation/arch/arm64/memory.rst).
#[inline(always)]
fn is_of_kernel(address: u64) -> bool {
    (address as i64) < 0
}

/// Reads up to the first NUL; returns the length without it and what is wrong.
#[inline(always)]
fn read_string(to: *mut u8, address: u64) -> (u32, u16) {
    let (to, most, from) = (to.cast(), DATA_LEN as u32 + 2, address as *const _);
    // SAFETY: the helpers check the address; the buffer is as long as they are told.
    let read = unsafe {
        match is_of_kernel(address) {
            true => bpf_probe_read_kernel_str(to, most, from),
            false => bpf_probe_read_user_str(to, most, from),
        }
    };
    match read {
        // An empty string, without its NUL: so 5.10 counts it (mm/maccess.c, strncpy_from_user_nofault).
        0 => (0, 0),
        // The NUL is counted in `read`.
        1..=4096 => (read as u32 - 1, 0),
        4097.. => (DATA_LEN as u32, Header::TRUNCATED),
        _ => (0, Header::FAULT),
    }
}

/// Reads that many bytes; returns how many there are and what is wrong.
#[inline(always)]
fn read_bytes(to: *mut u8, address: u64, count: u64) -> (u32, u16) {
    let (taken, marks) = if count > DATA_LEN as u64 { (DATA_LEN as u32, Header::TRUNCATED) } else { (count as u32, 0) };
    let (to, taken, from) = (to.cast(), bounded(taken, DATA_LEN as u32), address as *const _);
    // SAFETY: the helpers check the address; the buffer is longer than they are told.
    let read = unsafe {
        match is_of_kernel(address) {
            true => bpf_probe_read_kernel(to, taken, from),
            false => bpf_probe_read_user(to, taken, from),
        }
    };
    if read == 0 { (taken, marks) } else { (0, Header::FAULT) }
}
