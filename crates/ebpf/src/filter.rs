//! The user's filter, set before the programs are loaded.

use aya_ebpf::Global;
use ebpflab_common::filter::Filter;

#[unsafe(no_mangle)]
static FILTER: Global<Filter> = Global::new(Filter { wanted: 0, pid: 0, tid: 0, uid: 0, not_pid: 0, comm: [0; 16] });

/// The filter of this run.
#[inline(always)]
pub(crate) fn filter() -> Filter {
    FILTER.load()
}
