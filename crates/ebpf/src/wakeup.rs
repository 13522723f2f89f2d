//! When whoever reads the ring buffer is woken, which costs whoever writes to it: by how much is in it, as user space says
//! in the map `WAKEUP`.
//!
//! A module of each object that has such a buffer.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    btf_maps::Array,
    helpers::generated::bpf_ringbuf_query,
    macros::btf_map,
};
use ebpflab_common::event::Wakeup;

#[btf_map]
static WAKEUP: Array<Wakeup, 1> = Array::new();

/// The flags for a record that is written to a buffer now.
#[inline(always)]
pub(crate) fn flags(buffer: *mut c_void) -> u64 {
    // SAFETY: the map of the buffer.
    let filled = unsafe { bpf_ringbuf_query(buffer, BPF_RB_AVAIL_DATA.into()) };
    // SAFETY: two words that user space writes and programs only read; where they do not fit together it looks again.
    let wakes = WAKEUP.get_ptr(0).is_some_and(|wakeup| unsafe { wakeup.read_volatile() }.at(filled));
    u64::from(if wakes { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP })
}
