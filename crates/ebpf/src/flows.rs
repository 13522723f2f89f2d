//! Packets and bytes by flow, for every frame that an interface receives or sends. Passes every one of them on.
#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    bindings::TC_ACT_UNSPEC,
    btf_maps::HashMap,
    macros::{btf_map, classifier},
    programs::TcContext,
};
use ebpflab_common::{
    flows::{Direction, Flow, MAX_ENTRIES, flow},
    packet::{Packet as _, Traffic},
};
use ebpflab_ebpf::{book, enabled, kernel::atomic_add, ledger::ledger, skb::Skb};

#[btf_map]
static FLOWS: HashMap<Flow, Traffic, { MAX_ENTRIES as usize }> = HashMap::new();

/// Whether frames begin with an Ethernet header; else with the network header.
#[unsafe(no_mangle)]
static IS_ETHERNET: Global<u32> = Global::new(1);

const BPF_NOEXIST: u64 = 1;

/// Lets the programs after this one decide; so does `TCX_NEXT`, which is the same number.
const NEXT: i32 = TC_ACT_UNSPEC;

#[classifier]
fn flows_ingress(ctx: TcContext) -> i32 {
    if enabled() {
        let _ = count(&ctx, Direction::Ingress);
    }
    NEXT
}

#[classifier]
fn flows_egress(ctx: TcContext) -> i32 {
    if enabled() {
        let _ = count(&ctx, Direction::Egress);
    }
    NEXT
}

#[inline(always)]
fn count(ctx: &TcContext, direction: Direction) -> Option<()> {
    let ledger = ledger()?;
    book!(ledger, seen);
    let skb = Skb(&ctx.skb);
    let flow = flow(&skb, IS_ETHERNET.load() != 0, skb.ethertype(), vlan(&skb), direction);
    match counter(&flow) {
        Some(traffic) => {
            // SAFETY: a value of the map.
            unsafe {
                atomic_add(&raw mut (*traffic).packets, 1);
                atomic_add(&raw mut (*traffic).bytes, skb.size() as u64);
            }
            book!(ledger, submitted);
        }
        None => book!(ledger, map_full),
    }
    Some(())
}

/// Id of the VLAN in the tag that the kernel keeps beside the frame; zero for none.
#[inline(always)]
fn vlan(skb: &Skb<'_>) -> u16 {
    const VLAN_VID_MASK: u32 = 0x0fff;
    // SAFETY: the verifier turns these into loads of its own.
    let (is_there, tci) = unsafe { ((*skb.raw()).vlan_present, (*skb.raw()).vlan_tci) };
    if is_there == 0 { 0 } else { (tci & VLAN_VID_MASK) as u16 }
}

/// The counter of a flow, made if it has none yet; `None` when the map is full. Inserting zero and then adding is
/// right when two CPUs meet a new flow together.
#[inline(always)]
fn counter(flow: &Flow) -> Option<*mut Traffic> {
    FLOWS.get_ptr_mut(flow).or_else(|| {
        let _ = FLOWS.insert(flow, &Traffic::default(), BPF_NOEXIST);
        FLOWS.get_ptr_mut(flow)
    })
}
