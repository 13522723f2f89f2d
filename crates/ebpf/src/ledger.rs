//! The loss ledger's kernel side.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use ebpflab_common::ledger::Ledger;

#[btf_map]
static LEDGER: PerCpuArray<Ledger, 1> = PerCpuArray::new();

/// This CPU's counters.
#[inline(always)]
pub fn ledger() -> Option<*mut Ledger> {
    LEDGER.get_ptr_mut(0)
}

/// Adds one to a term: `book!(ledger, seen)`. Atomically, since a program may be preempted by another one.
#[macro_export]
macro_rules! book {
    ($ledger:expr, $term:ident) => {
        // SAFETY: the pointer came from the map and was checked.
        unsafe { $crate::kernel::atomic_add(&raw mut (*$ledger).$term, 1) }
    };
}
