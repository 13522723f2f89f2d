//! The loss ledger's kernel side.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use ebpflab_common::{event::Kind, ledger::Ledger};

#[btf_map]
static LEDGER: PerCpuArray<Ledger, { Kind::ALL.len() }> = PerCpuArray::new();

/// This CPU's counters, those of a tool that counts.
#[inline(always)]
pub fn ledger() -> Option<*mut Ledger> {
    LEDGER.get_ptr_mut(0)
}

/// This CPU's counters of one kind of events.
#[inline(always)]
pub fn ledger_of(kind: Kind) -> Option<*mut Ledger> {
    LEDGER.get_ptr_mut(kind as u32)
}

/// Adds one to a term: `book!(ledger, seen)`. Atomically, since a program may be preempted by another one.
#[macro_export]
macro_rules! book {
    ($ledger:expr, $term:ident) => {
        // SAFETY: the pointer came from the map and was checked.
        unsafe { $crate::kernel::atomic_add(&raw mut (*$ledger).$term, 1) }
    };
}
