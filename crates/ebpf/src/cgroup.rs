//! Packets and bytes of a cgroup and those below it, by cgroup, protocol and direction; and rules that deny some.
#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    btf_maps::{Array, HashMap},
    helpers::bpf_skb_cgroup_id,
    macros::{btf_map, cgroup_skb},
    programs::SkBuffContext,
};
use ebpflab_common::{
    cgroup::{Group, MAX_ENTRIES, MAX_RULES, Rule, words},
    flows::Direction,
    ip::headers,
    packet::{Link, Packet as _, Traffic},
};
use ebpflab_ebpf::{book, enabled, kernel::atomic_add, ledger::ledger, skb::Skb};

#[btf_map]
static GROUPS: HashMap<Group, Traffic, { MAX_ENTRIES as usize }> = HashMap::new();

/// The rules, and how many of them there are.
#[btf_map]
static RULES: Array<Rule, { MAX_RULES as usize }> = Array::new();

#[unsafe(no_mangle)]
static RULES_LEN: Global<u32> = Global::new(0);

/// What each of the rules has denied.
#[btf_map]
static DENIED: Array<Traffic, { MAX_RULES as usize }> = Array::new();

const BPF_NOEXIST: u64 = 1;

/// What a program answers.
const DENY: i32 = 0;
const PASS: i32 = 1;

#[cgroup_skb(ingress)]
fn cgroup_ingress(ctx: SkBuffContext) -> i32 {
    if enabled() { count(&ctx, Direction::Ingress).unwrap_or(PASS) } else { PASS }
}

#[cgroup_skb(egress)]
fn cgroup_egress(ctx: SkBuffContext) -> i32 {
    if enabled() { count(&ctx, Direction::Egress).unwrap_or(PASS) } else { PASS }
}

#[inline(always)]
fn count(ctx: &SkBuffContext, direction: Direction) -> Option<i32> {
    let ledger = ledger()?;
    book!(ledger, seen);
    let skb = Skb(&ctx.skb);
    let mut protocol = u32::from(u8::MAX);
    if let Some(headers) = headers(&skb, Link { ethertype: skb.ethertype(), network: 0 }) {
        protocol = headers.protocol.into();
        let (address, port) = match direction {
            Direction::Ingress => (headers.source, headers.ports.map(|(source, _)| source)),
            Direction::Egress => (headers.destination, headers.ports.map(|(_, destination)| destination)),
        };
        if let Some(denied) = denied(words(address), port.map_or(Rule::ANY, u32::from), protocol) {
            add(denied, &skb);
            book!(ledger, submitted);
            return Some(DENY);
        }
    }
    // SAFETY: the helper takes any packet.
    let cgroup = unsafe { bpf_skb_cgroup_id(ctx.skb.skb) };
    match counter(&Group { cgroup, protocol, direction: direction as u32 }) {
        Some(traffic) => {
            add(traffic, &skb);
            book!(ledger, submitted);
        }
        None => book!(ledger, map_full),
    }
    Some(PASS)
}

#[inline(always)]
fn add(traffic: *mut Traffic, skb: &Skb<'_>) {
    // SAFETY: a value of a map.
    unsafe {
        atomic_add(&raw mut (*traffic).packets, 1);
        atomic_add(&raw mut (*traffic).bytes, skb.size() as u64);
    }
}

/// The counter of the first rule that denies a packet.
#[inline(always)]
fn denied(address: [u64; 2], port: u32, protocol: u32) -> Option<*mut Traffic> {
    let len = RULES_LEN.load();
    for index in 0..MAX_RULES {
        if index >= len {
            return None;
        }
        let rule = RULES.get(index)?;
        if rule.denies(address, port, protocol) {
            return DENIED.get_ptr_mut(index);
        }
    }
    None
}

/// The counter of a group, made if it has none yet; `None` when the map is full. Inserting zero and then adding is
/// right when two CPUs meet a new group together.
#[inline(always)]
fn counter(group: &Group) -> Option<*mut Traffic> {
    GROUPS.get_ptr_mut(group).or_else(|| {
        let _ = GROUPS.insert(group, &Traffic::default(), BPF_NOEXIST);
        GROUPS.get_ptr_mut(group)
    })
}
