//! Packets and bytes by protocol, for every frame that reaches an interface, and rules about where they come from.
//!
//! Three programs, one for each layer, each of which calls the next through `STAGES` (a tail call). What one knows the
//! next finds in `WALK`. A packet whose next program is missing is counted as far as it is known, and told.
#![no_std]
#![no_main]

use core::ops::ControlFlow;

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{BPF_F_CURRENT_CPU, BPF_NOEXIST, xdp_action},
    btf_maps::{Array, LpmTrie, PerCpuArray, PerCpuHashMap, PerfEventByteArray, ProgramArray, lpm_trie::Key},
    helpers::generated::{bpf_ktime_get_boot_ns, bpf_perf_event_output},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use ebpflab_common::{
    ledger::Ledger,
    packet::{
        ETH_P_IP, ETH_P_IPV6, Link, Network, Packet, Protocol, Traffic, ipv4_addresses, ipv6_addresses, link, network,
        transport,
    },
    xdp::{Capture, Captured, NO_RULE, Source, Stage, Verdict},
};
use ebpflab_ebpf::{enabled, kernel::atomic_add, ledger::ledger};

#[btf_map]
static COUNTS: PerCpuArray<Traffic, 5> = PerCpuArray::new();

#[btf_map]
static STAGES: ProgramArray<2> = ProgramArray::new();
/// Packets whose next program was missing.
#[btf_map]
static STAGE_LOST: Array<u64, 1> = Array::new();

/// What is known of the packet that this CPU is at.
#[repr(C)]
struct Walk {
    ethertype: u32,
    network: u32,
    next: u32,
    transport: u32,
    rest: u32,
    first_fragment: u32,
    verdict: Verdict,
}

/// XDP runs with bottom halves off: a CPU is at one packet at a time.
#[btf_map]
static WALK: PerCpuArray<Walk, 1> = PerCpuArray::new();

/// 1: there are rules, or may be.
#[unsafe(no_mangle)]
static RULES: Global<u32> = Global::new(0);

/// Which of the two sets of rules is in force. A packet looks once, so that it meets one set and no mixture.
#[btf_map]
static ACTIVE: Array<u32, 1> = Array::new();
#[btf_map]
static IPV4_RULES_0: LpmTrie<[u8; 4], Verdict, 1> = LpmTrie::new();
#[btf_map]
static IPV4_RULES_1: LpmTrie<[u8; 4], Verdict, 1> = LpmTrie::new();
#[btf_map]
static IPV6_RULES_0: LpmTrie<[u8; 16], Verdict, 1> = LpmTrie::new();
#[btf_map]
static IPV6_RULES_1: LpmTrie<[u8; 16], Verdict, 1> = LpmTrie::new();
/// By slot: the packets of each rule, and at `NO_RULE` those that met none.
#[btf_map]
static RULE_COUNTS: PerCpuArray<Traffic, 1> = PerCpuArray::new();

/// 1: packets are counted by their sources too.
#[unsafe(no_mangle)]
static BY_SOURCE: Global<u32> = Global::new(0);
#[btf_map]
static SOURCES: PerCpuHashMap<Source, Traffic, 1> = PerCpuHashMap::new();
/// Packets of sources that `SOURCES` had no room for.
#[btf_map]
static UNTRACKED: PerCpuArray<Traffic, 1> = PerCpuArray::new();

#[unsafe(no_mangle)]
static CAPTURE: Global<Capture> = Global::new(Capture { what: 0, every: 0, snap_len: 0 });
#[btf_map]
static CAPTURED: PerfEventByteArray = PerfEventByteArray::new();
/// What became of the packets for the file.
#[btf_map]
static CAPTURE_LEDGER: PerCpuArray<Ledger, 1> = PerCpuArray::new();

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

/// The link header, and where a packet's way begins.
#[xdp]
fn xdp_count(ctx: XdpContext) -> u32 {
    if !enabled() {
        return xdp_action::XDP_PASS;
    }
    let (Some(ledger), Some(walk)) = (ledger(), walk()) else { return xdp_action::XDP_PASS };
    // SAFETY: both pointers came from maps and were checked.
    unsafe {
        (*ledger).seen += 1;
        (*walk).verdict = Verdict { slot: NO_RULE, drops: 0 };
    }
    if let Some(Link { ethertype, network }) = link(&Frame(&ctx)) {
        // SAFETY: as above.
        unsafe {
            (*walk).ethertype = ethertype.into();
            (*walk).network = network as u32;
        }
        go_on(&ctx, Stage::Network);
    }
    finish(&ctx, walk, Protocol::Other)
}

/// The network headers and the rules.
#[xdp]
fn xdp_network(ctx: XdpContext) -> u32 {
    let Some(walk) = walk() else { return xdp_action::XDP_PASS };
    let frame = Frame(&ctx);
    // SAFETY: the pointer came from the map and was checked.
    let link = unsafe { Link { ethertype: (*walk).ethertype as u16, network: (*walk).network as usize } };
    if RULES.load() != 0
        && let Some(verdict) = verdict(&frame, link)
    {
        // SAFETY: as above.
        unsafe { (*walk).verdict = verdict };
    }
    if BY_SOURCE.load() != 0
        && let Some(source) = source(&frame, link)
    {
        count_source(&source, frame.size());
    }
    match network(&frame, link) {
        ControlFlow::Break(protocol) => finish(&ctx, walk, protocol),
        ControlFlow::Continue(Network { next, transport, rest, first_fragment }) => {
            // SAFETY: as above.
            unsafe {
                (*walk).next = next.into();
                (*walk).transport = transport as u32;
                (*walk).rest = rest as u32;
                (*walk).first_fragment = first_fragment.into();
            }
            go_on(&ctx, Stage::Transport);
            finish(&ctx, walk, Protocol::Other)
        }
    }
}

/// The transport header.
#[xdp]
fn xdp_transport(ctx: XdpContext) -> u32 {
    let Some(walk) = walk() else { return xdp_action::XDP_PASS };
    // SAFETY: the pointer came from the map and was checked.
    let (ethertype, network) = unsafe {
        let network = Network {
            next: (*walk).next as u8,
            transport: (*walk).transport as usize,
            rest: (*walk).rest as usize,
            first_fragment: (*walk).first_fragment != 0,
        };
        ((*walk).ethertype as u16, network)
    };
    finish(&ctx, walk, transport(ethertype, network))
}

#[inline(always)]
fn walk() -> Option<*mut Walk> {
    WALK.get_ptr_mut(0)
}

/// Hands the packet to the next program, and returns only if there is none.
#[inline(always)]
fn go_on(ctx: &XdpContext, stage: Stage) {
    // SAFETY: nothing here has to be dropped.
    unsafe { STAGES.tail_call(ctx, stage as u32) };
    if let Some(lost) = STAGE_LOST.get_ptr_mut(0) {
        // SAFETY: the pointer came from the map and was checked.
        unsafe { atomic_add(lost, 1) };
    }
}

/// The verdict of the longest prefix of the source address.
#[inline(always)]
fn verdict(frame: &Frame<'_>, link: Link) -> Option<Verdict> {
    // SAFETY: a word that user space writes and programs only read.
    let second = ACTIVE.get_ptr(0).is_some_and(|active| unsafe { active.read_volatile() } != 0);
    match link.ethertype {
        ETH_P_IP => {
            let key = Key::new(32, ipv4_addresses(frame, link.network)?.0);
            if second { IPV4_RULES_1.get(&key) } else { IPV4_RULES_0.get(&key) }.copied()
        }
        ETH_P_IPV6 => {
            let key = Key::new(128, ipv6_addresses(frame, link.network)?.0);
            if second { IPV6_RULES_1.get(&key) } else { IPV6_RULES_0.get(&key) }.copied()
        }
        _ => None,
    }
}

#[inline(always)]
fn source(frame: &Frame<'_>, link: Link) -> Option<Source> {
    match link.ethertype {
        ETH_P_IP => {
            let [a, b, c, d] = ipv4_addresses(frame, link.network)?.0;
            Some(Source { version: 4, address: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] })
        }
        ETH_P_IPV6 => Some(Source { version: 6, address: ipv6_addresses(frame, link.network)?.0 }),
        _ => None,
    }
}

#[inline(always)]
fn count_source(source: &Source, size: usize) {
    let mut traffic = SOURCES.get_ptr_mut(source);
    if traffic.is_none() {
        // Another CPU may have been faster; then the entry is there as well.
        let _ = SOURCES.insert(source, Traffic { packets: 0, bytes: 0 }, BPF_NOEXIST.into());
        traffic = SOURCES.get_ptr_mut(source).or_else(|| UNTRACKED.get_ptr_mut(0));
    }
    add(traffic, size);
}

/// Plain additions: nothing else on this CPU reaches its slots meanwhile. (Locked ones would cost as much as the parser.)
#[inline(always)]
fn add(traffic: Option<*mut Traffic>, size: usize) {
    if let Some(traffic) = traffic {
        // SAFETY: the pointer came from a map and was checked.
        unsafe { (*traffic).add(Traffic { packets: 1, bytes: size as u64 }) };
    }
}

/// Counts the packet, and does with it what the rules say.
#[inline(always)]
fn finish(ctx: &XdpContext, walk: *mut Walk, protocol: Protocol) -> u32 {
    let size = Frame(ctx).size();
    // SAFETY: the pointer came from the map and was checked.
    let verdict = unsafe { (*walk).verdict };
    add(COUNTS.get_ptr_mut(protocol as u32), size);
    if let Some(ledger) = ledger() {
        // SAFETY: as above.
        unsafe { (*ledger).submitted += 1 };
    }
    if RULES.load() != 0 {
        add(RULE_COUNTS.get_ptr_mut(verdict.slot), size);
    }
    capture(ctx, size, verdict);
    if verdict.drops != 0 { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
}

/// Writes the packet to the buffer, if it is wanted.
#[inline(always)]
fn capture(ctx: &XdpContext, size: usize, verdict: Verdict) {
    let Capture { what, every, snap_len } = CAPTURE.load();
    if what == 0 {
        return;
    }
    let (Some(all), Some(ledger)) = (ledger(), CAPTURE_LEDGER.get_ptr_mut(0)) else { return };
    // SAFETY: both pointers came from maps and were checked.
    unsafe {
        let wanted = match what {
            Capture::DROPPED => verdict.drops != 0,
            _ => (*all).seen.checked_rem(every.into()) == Some(0),
        };
        if !wanted {
            return;
        }
        (*ledger).seen += 1;
        let captured = if size < snap_len as usize { size as u32 } else { snap_len };
        let record = Captured { time: bpf_ktime_get_boot_ns(), size: size as u32, captured, verdict };
        // The kernel puts so many bytes of the packet behind the record (BPF_F_CTXLEN_MASK).
        let flags = BPF_F_CURRENT_CPU | u64::from(captured) << 32;
        let (buffers, data) = ((&raw const CAPTURED).cast_mut().cast(), (&raw const record).cast_mut().cast());
        if bpf_perf_event_output(ctx.as_ptr(), buffers, flags, data, size_of::<Captured>() as u64) == 0 {
            (*ledger).submitted += 1;
        } else {
            (*ledger).dropped += 1;
        }
    }
}
