//! Fields of kernel structs by their offsets on the running kernel (CO-RE), and reads through them.

use aya_ebpf::helpers::bpf_probe_read_kernel;

include!(concat!(env!("OUT_DIR"), "/kernel_fields.rs"));

unsafe extern "C" {
    fn atomic_add_u64(counter: *mut u64, value: u64);
}

/// Adds to a counter that other programs, CPUs or interrupts may be adding to.
///
/// # Safety
/// `counter` must point into a map value.
#[inline(always)]
pub unsafe fn atomic_add(counter: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { atomic_add_u64(counter, value) }
}

/// Reads a field: `base` is a kernel pointer, `offset` one of the functions above. `None` where the kernel has no
/// such field or the memory cannot be read.
#[inline(always)]
pub fn read<T>(base: *const u8, offset: Option<usize>) -> Option<T> {
    // SAFETY: the helper checks the address, it never faults.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset?).cast()) }.ok()
}

/// Cuts a length to the bits of a mask, in a way that the verifier sees: it forgets (before 6.18) what the compiler
/// proved on a copy of the value, and the compiler leaves out a mask that it knows to change nothing. So the value
/// goes through memory, where the compiler loses sight of it.
#[inline(always)]
pub fn bounded(len: u32, mask: u32) -> u32 {
    // SAFETY: a variable of this function.
    unsafe { (&raw const len).read_volatile() & mask }
}
