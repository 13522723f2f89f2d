//! A program that counts what a group of processes sends by UDP, and forbids one port.
#![no_std]
#![no_main]

use aya_ebpf::{
    btf_maps::HashMap,
    macros::{btf_map, cgroup_skb},
    programs::SkBuffContext,
};

/// How many packets were sent to each port; those that were forbidden are not among them.
#[btf_map]
static SENT: HashMap<u16, u64, 65_536> = HashMap::new();

/// How many packets were forbidden, by port.
#[btf_map]
static DENIED: HashMap<u16, u64, 65_536> = HashMap::new();

/// The port that is forbidden. User space sets it before the program is loaded.
#[unsafe(no_mangle)]
static BLOCKED: u16 = 0;

const DENY: i32 = 0;
const ALLOW: i32 = 1;

// There is no link header here: a packet begins with the header of IP.
const VERSION: usize = 0;
const IP_PROTOCOL: usize = 9;
/// Behind an IP header of 20 bytes: two ports of UDP, from and to.
const TO_PORT: usize = 20 + 2;
const UDP: u8 = 17;

/// Runs for each packet that a process of the cgroup sends.
#[cgroup_skb(egress)]
fn sends(ctx: SkBuffContext) -> i32 {
    // What is no packet of UDP goes its way.
    sent(&ctx).unwrap_or(ALLOW)
}

fn sent(ctx: &SkBuffContext) -> Option<i32> {
    let (version, protocol) = (ctx.load::<u8>(VERSION).ok()? >> 4, ctx.load::<u8>(IP_PROTOCOL).ok()?);
    if version != 4 || protocol != UDP {
        return None;
    }
    // TODO 1: the port that it is sent to: two bytes at TO_PORT. On the wire they are big endian: u16::from_be(...).
    // <solution>
    let port = u16::from_be(ctx.load::<u16>(TO_PORT).ok()?);
    // </solution>
    // <skeleton>
    //| let _ = TO_PORT;
    //| let port = 0;
    // </skeleton>

    // The compiler takes BLOCKED for 0, unless it is made to look.
    // SAFETY: a static that nobody writes while the program runs.
    let blocked = unsafe { (&raw const BLOCKED).read_volatile() };
    // TODO 2: if it is the forbidden port, add it to DENIED, and return DENY; else add it to SENT, and return ALLOW.
    // <solution>
    if port == blocked {
        add(&DENIED, port)?;
        return Some(DENY);
    }
    add(&SENT, port)?;
    Some(ALLOW)
    // </solution>
    // <skeleton>
    //| let _ = (blocked, DENY, &DENIED, add(&SENT, port));
    //| Some(ALLOW)
    // </skeleton>
}

/// Adds one to the count of a port.
fn add(map: &HashMap<u16, u64, 65_536>, port: u16) -> Option<()> {
    let counter = map.get_ptr_mut(&port).or_else(|| {
        let _ = map.insert(&port, &0, 1);
        map.get_ptr_mut(&port)
    })?;
    // SAFETY: it points to a value of the map.
    unsafe { *counter += 1 };
    Some(())
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
