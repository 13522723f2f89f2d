//! A program that counts packets by the most precise rule for where they come from.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    btf_maps::{LpmTrie, PerCpuArray, lpm_trie::Key},
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// The rules: a prefix of an address (how many bits, and the four bytes as they are on the wire), and the number of the
/// rule. User space writes them.
#[btf_map]
static RULES: LpmTrie<[u8; 4], u32, 1024> = LpmTrie::new();

/// How many packets each rule had, by its number; number 0 are those without a rule.
#[btf_map]
static HITS: PerCpuArray<u64, 64> = PerCpuArray::new();

const ETHER_TYPE: usize = 12;
const IPV4: [u8; 2] = [0x08, 0x00];
/// In the header of IPv4, which begins at 14: from whom, at 12 in it, and to whom, at 16.
const SOURCE: usize = 14 + 12;

#[xdp]
fn count_rules(ctx: XdpContext) -> u32 {
    let rule = rule(&ctx).unwrap_or(0);
    if let Some(hits) = HITS.get_ptr_mut(rule) {
        // SAFETY: it points to a value of the map, which only this CPU writes.
        unsafe { *hits += 1 };
    }
    XDP_PASS
}

/// The number of the rule for a packet; None without one.
fn rule(ctx: &XdpContext) -> Option<u32> {
    let ether_type: *const [u8; 2] = ptr_at(ctx, ETHER_TYPE)?;
    // SAFETY: ptr_at checked that it is in the packet.
    if unsafe { *ether_type } != IPV4 {
        return None;
    }
    // TODO 1: the address that the packet comes from: four bytes at SOURCE, through ptr_at.
    // <solution>
    let source: *const [u8; 4] = ptr_at(ctx, SOURCE)?;
    // SAFETY: the same.
    let source = unsafe { *source };
    // </solution>
    // <skeleton>
    //| let _ = SOURCE;
    //| let source = [0; 4];
    // </skeleton>

    // TODO 2: look the address up, as a key of all of its bits: Key::new(BITS, source). The trie finds the entry with the
    // longest prefix that fits; get is an Option of a reference to its value.
    // <solution>
    RULES.get(&Key::new(32, source)).copied()
    // </solution>
    // <skeleton>
    //| let _ = Key::new(32, source);
    //| None
    // </skeleton>
}

/// A pointer to a `T` in the packet, or None where the packet ends before.
fn ptr_at<T>(ctx: &XdpContext, offset: usize) -> Option<*const T> {
    let (start, end) = (ctx.data(), ctx.data_end());
    if start + offset + size_of::<T>() > end {
        return None;
    }
    Some((start + offset) as *const T)
}

/// Some helpers are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Rust wants one. The verifier refuses a program that could come here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
