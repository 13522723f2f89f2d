//! Packets and bytes by protocol, for every frame that reaches an interface. Passes every one of them on.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::PerCpuArray,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use ebpflab_common::packet::{Packet, Traffic, classify};
use ebpflab_ebpf::{enabled, ledger::ledger};

#[btf_map]
static COUNTS: PerCpuArray<Traffic, 5> = PerCpuArray::new();

/// A frame between `data` and `data_end`.
struct Frame<'a>(&'a XdpContext);

impl Packet for Frame<'_> {
    #[inline(always)]
    fn size(&self) -> usize {
        self.0.data_end() - self.0.data()
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // SAFETY: `ptr_at` checked that all N bytes are there; bytes need no alignment.
        ptr_at::<[u8; N]>(self.0, offset).map(|bytes| unsafe { *bytes })
    }
}

/// A pointer to a `T` at `offset`, if the frame holds all of it.
#[inline(always)]
fn ptr_at<T>(ctx: &XdpContext, offset: usize) -> Option<*const T> {
    // The verifier follows packet pointers only as far as offsets that it knows to be small.
    if offset > 0x7fff {
        return None;
    }
    let start = ctx.data() + offset;
    (start + size_of::<T>() <= ctx.data_end()).then_some(start as *const T)
}

#[xdp]
fn xdp_count(ctx: XdpContext) -> u32 {
    if enabled() {
        let _ = try_count(&ctx);
    }
    xdp_action::XDP_PASS
}

/// Plain additions: XDP runs with bottom halves off, so nothing else on this CPU reaches its slots meanwhile.
/// (Four locked ones would cost as much as the parser.)
#[inline(always)]
fn try_count(ctx: &XdpContext) -> Option<()> {
    let ledger = ledger()?;
    // SAFETY: both pointers came from maps and were checked.
    unsafe {
        (*ledger).seen += 1;
        let frame = Frame(ctx);
        let traffic = COUNTS.get_ptr_mut(classify(&frame) as u32)?;
        (*traffic).packets += 1;
        (*traffic).bytes += frame.size() as u64;
        (*ledger).submitted += 1;
    }
    Some(())
}
