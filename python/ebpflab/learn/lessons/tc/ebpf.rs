//! A program that counts the packets and bytes that leave by an interface.
#![no_std]
#![no_main]

mod common;

use aya_ebpf::{
    bindings::TC_ACT_OK,
    btf_maps::PerCpuArray,
    macros::{btf_map, classifier},
    programs::TcContext,
};
use common::{OTHER, TCP, Traffic, UDP};

/// What left, by protocol; of each CPU its own.
#[btf_map]
static TRAFFIC: PerCpuArray<Traffic, 3> = PerCpuArray::new();

const ETHER_TYPE: usize = 12;
const IPV4: u16 = 0x0800;
/// In the header of IPv4, which begins at 14.
const IP_PROTOCOL: usize = 14 + 9;

/// Runs for each packet at the place where tc (traffic control) sits: here, on its way out.
#[classifier]
fn leaves(ctx: TcContext) -> i32 {
    let _ = count(&ctx);
    // What becomes of the packet: it goes its way.
    TC_ACT_OK
}

fn count(ctx: &TcContext) -> Option<()> {
    let traffic = TRAFFIC.get_ptr_mut(protocol(ctx).unwrap_or(OTHER))?;
    // TODO 2: add one to the packets, and ctx.len() to the bytes: a u32, and the field is a u64 (`.into()`).
    // SAFETY: it points to a value of the map, which only this CPU writes.
    unsafe {
        // <solution>
        (*traffic).packets += 1;
        (*traffic).bytes += u64::from(ctx.len());
        // </solution>
        // <skeleton>
        //| let _ = ((*traffic).packets, ctx.len());
        // </skeleton>
    }
    Some(())
}

/// Which protocol a packet is; None where it is too short to tell.
fn protocol(ctx: &TcContext) -> Option<u32> {
    // A packet on its way out may be in several pieces, so it is read by a helper that finds the place and checks:
    // ctx.load::<TYPE>(OFFSET) is a Result.
    let ether_type = u16::from_be(ctx.load::<u16>(ETHER_TYPE).ok()?);
    // TODO 1: OTHER unless it is IPv4; then one byte (u8) at IP_PROTOCOL: 6 is TCP, 17 is UDP.
    // <solution>
    if ether_type != IPV4 {
        return Some(OTHER);
    }
    Some(match ctx.load::<u8>(IP_PROTOCOL).ok()? {
        6 => TCP,
        17 => UDP,
        _ => OTHER,
    })
    // </solution>
    // <skeleton>
    //| let _ = (ether_type, IPV4, IP_PROTOCOL, TCP, UDP);
    //| Some(OTHER)
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
