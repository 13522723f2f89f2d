//! Calls of a function from entry to return.
//!
//! A module of each object that has programs at both; the object says what is to be known of a call when it returns
//! (`crate::Known`), and where it is booked (`crate::ledger`).

use aya_ebpf::{
    EbpfContext,
    btf_maps::{HashMap, PerCpuArray},
    macros::btf_map,
};
use ebpflab_common::latency::{Frame, MAX_CALLS};
use ebpflab_ebpf::{
    book,
    task::{Current, task},
};

use crate::{Known, filter::filter, ledger};

/// Calls that have not returned.
#[btf_map]
static CALLS: HashMap<Frame, Known, { MAX_CALLS as usize }> = HashMap::new();

/// The address of a context, on its way to become a number.
#[btf_map]
static POINTER: PerCpuArray<u64, 1> = PerCpuArray::new();

const BPF_ANY: u64 = 0;

/// Where the context of a program is, of a trampoline that is its frame: as a number, which a key may have (kernels
/// before 5.16 do not take pointers in keys), and from which an offset leads on that is not known beforehand.
#[inline(always)]
pub(crate) fn address_of(ctx: &impl EbpfContext) -> Option<u64> {
    let through = POINTER.get_ptr_mut(0)?;
    // SAFETY: a value of the map, of this CPU; nobody else needs what is in it.
    unsafe {
        through.write_volatile(ctx.as_ptr() as u64);
        Some(through.read_volatile())
    }
}

/// A call begins; `known` is kept until it returns.
#[inline(always)]
pub(crate) fn enter(stack: u64, known: impl Fn() -> Known) -> Option<()> {
    let ledger = ledger()?;
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return None;
    }
    let frame = Frame { task: task() as u64, stack };
    if let Some(earlier) = CALLS.get_ptr_mut(frame) {
        // A call from the same place that did not return: its return was missed, or it was left by a jump.
        book!(ledger, unpaired);
        // SAFETY: a value of the map, which only this task's calls touch.
        unsafe { *earlier = known() };
    } else if CALLS.insert(frame, known(), BPF_ANY).is_err() {
        book!(ledger, unpaired);
    }
    Some(())
}

/// A call returns. `None`: it was made before the run began, or the filter left it out.
#[inline(always)]
pub(crate) fn leave(stack: u64) -> Option<Known> {
    let frame = Frame { task: task() as u64, stack };
    // SAFETY: a value of the map, which only this task's calls touch.
    let known = unsafe { *CALLS.get_ptr(frame)? };
    let _ = CALLS.remove(frame);
    Some(known)
}
