//! A program that counts packets by protocol, as soon as they come in.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    btf_maps::PerCpuArray,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use common::{ICMP, OTHER, TCP, UDP};

/// A count for each protocol, of each CPU its own: so nobody else adds to it meanwhile. User space adds them up.
#[btf_map]
static COUNTS: PerCpuArray<u64, 4> = PerCpuArray::new();

// Where things are in an Ethernet frame: 6 bytes to whom, 6 from whom, 2 what is in it. Then, if that is IPv4, its header.
const ETHER_TYPE: usize = 12;
const IP: usize = 14;
/// In the header of IPv4 (RFC 791): one byte that says what is in the packet.
const IP_PROTOCOL: usize = IP + 9;
/// What ETHER_TYPE says where it is IPv4.
const IPV4: u16 = 0x0800;

/// Runs for each packet that an interface receives, before the kernel does anything with it.
#[xdp]
fn count_packets(ctx: XdpContext) -> u32 {
    let protocol = protocol(&ctx).unwrap_or(OTHER);
    // TODO 3: add one to the count of the protocol. COUNTS.get_ptr_mut(INDEX) is an Option: a pointer to this CPU's.
    // <solution>
    if let Some(count) = COUNTS.get_ptr_mut(protocol) {
        // SAFETY: it points to a value of the map, which only this CPU writes.
        unsafe { *count += 1 };
    }
    // </solution>
    // <skeleton>
    //| let _ = protocol;
    // </skeleton>

    // What becomes of the packet: it goes its way.
    XDP_PASS
}

/// Which count a packet belongs to; None where it is too short to tell.
fn protocol(ctx: &XdpContext) -> Option<u32> {
    let ether_type: *const [u8; 2] = ptr_at(ctx, ETHER_TYPE)?;
    // SAFETY: ptr_at checked that it is in the packet.
    // TODO 2: return OTHER unless it is IPv4. On the wire numbers begin with their upper byte (big endian), and this
    // machine's with the lower one: u16::from_be_bytes(unsafe { *ether_type }) is the number. Then look at IP_PROTOCOL,
    // one byte: 6 is TCP, 17 is UDP, 1 is ICMP.
    // <solution>
    if u16::from_be_bytes(unsafe { *ether_type }) != IPV4 {
        return Some(OTHER);
    }
    let protocol: *const u8 = ptr_at(ctx, IP_PROTOCOL)?;
    // SAFETY: the same.
    Some(match unsafe { *protocol } {
        6 => TCP,
        17 => UDP,
        1 => ICMP,
        _ => OTHER,
    })
    // </solution>
    // <skeleton>
    //| let _ = (ether_type, IPV4, IP_PROTOCOL, TCP, UDP, ICMP);
    //| Some(OTHER)
    // </skeleton>
}

/// A pointer to a `T` in the packet, or None where the packet ends before.
fn ptr_at<T>(ctx: &XdpContext, offset: usize) -> Option<*const T> {
    let (start, end) = (ctx.data(), ctx.data_end());
    // TODO 1: a packet is as long as whoever sent it wanted. The verifier refuses a program that reads what may be behind
    // its end: return None if start + offset + size_of::<T>() is more than end, else Some((start + offset) as *const T).
    // <solution>
    if start + offset + size_of::<T>() > end {
        return None;
    }
    Some((start + offset) as *const T)
    // </solution>
    // <skeleton>
    //| let _ = (start, end, offset);
    //| None
    // </skeleton>
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
