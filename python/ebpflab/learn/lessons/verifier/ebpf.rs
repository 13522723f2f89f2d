//! Six programs for packets, as people write them at first. The verifier refuses each, for another reason.
//!
//! They have nothing to do with each other but the map of each. Every packet goes its way.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    btf_maps::{Array, HashMap},
    helpers::generated,
    macros::{btf_map, xdp},
    programs::XdpContext,
};

const IPV4: [u8; 2] = [0x08, 0x00];
/// Where the header of IPv4 begins: its first byte says version 4, and five words.
const IP: usize = 14;
const IP_FIRST: u8 = 0x45;
const IP_PROTOCOL: usize = IP + 9;
/// Behind it, if the protocol is UDP: two bytes from which port, two bytes to which.
const TO_PORT: usize = IP + 20 + 2;
const UDP: u8 = 17;
/// For `insert`: fail if there is an entry for that key. 0 (BPF_ANY) overwrites it.
const BPF_NOEXIST: u64 = 1;

/// How many packets of UDP went to each port.
#[btf_map]
static PORTS: HashMap<u16, u64, 256> = HashMap::new();

/// Counts packets of UDP by the port that they are sent to. Those that end before the port are not counted.
#[xdp]
fn ports(ctx: XdpContext) -> u32 {
    let Some(port) = port(&ctx) else { return XDP_PASS };
    let Some(count) = PORTS.get_ptr_mut(&port) else {
        let _ = PORTS.insert(&port, &1, BPF_NOEXIST);
        return XDP_PASS;
    };
    // SAFETY: it points to a value of the map.
    unsafe { *count += 1 };
    XDP_PASS
}

fn port(ctx: &XdpContext) -> Option<u16> {
    // Where this returns anything, the packet has a whole header of IP.
    if protocol(ctx)? != UDP {
        return None;
    }
    // TODO 1: that is not all that is read here.
    // <solution>
    if ctx.data() + TO_PORT + 2 > ctx.data_end() {
        return None;
    }
    // </solution>
    let port = (ctx.data() + TO_PORT) as *const [u8; 2];
    // SAFETY: the packet has a header of IP, and behind that the ports.
    Some(u16::from_be_bytes(unsafe { *port }))
}

/// How many packets there were, by protocol. User space puts those in that it wants to know of.
#[btf_map]
static ASKED: HashMap<u8, u64, 256> = HashMap::new();

/// Counts packets by protocol: of those that user space asked for, and no others.
#[xdp]
fn asked(ctx: XdpContext) -> u32 {
    let Some(protocol) = protocol(&ctx) else { return XDP_PASS };
    // TODO 2: user space may have asked for everything that there is, but who knows that?
    // <solution>
    let Some(count) = ASKED.get_ptr_mut(&protocol) else { return XDP_PASS };
    // </solution>
    // <skeleton>
    //| // SAFETY: user space put all protocols in.
    //| let count = unsafe { ASKED.get_ptr_mut(&protocol).unwrap_unchecked() };
    // </skeleton>
    // SAFETY: it points to a value of the map.
    unsafe { *count += 1 };
    XDP_PASS
}

/// What `cut` leaves of a frame, in bytes.
const CUT: usize = 64;

/// Cuts frames that are longer to their first `CUT` bytes: who reads along wants the headers only.
#[xdp]
fn cut(ctx: XdpContext) -> u32 {
    let length = ctx.data_end() - ctx.data();
    if length > CUT {
        // TODO 3: this helper is for socket buffers, which tc has. XDP has one of its own for the tail of a packet.
        // SAFETY: no pointer into the packet is used after it.
        // <solution>
        unsafe { generated::bpf_xdp_adjust_tail(ctx.ctx, CUT as i32 - length as i32) };
        // </solution>
        // <skeleton>
        //| unsafe { generated::bpf_skb_change_tail(ctx.ctx.cast(), CUT as u32, 0) };
        // </skeleton>
    }
    XDP_PASS
}

/// How many frames there were, by length in bytes: of the first four lengths that came.
#[btf_map]
static LENGTHS: HashMap<u32, u64, 4> = HashMap::new();

/// How many frames there were of further lengths, for which `LENGTHS` has no room.
#[btf_map]
static NO_ROOM: Array<u64, 1> = Array::new();

/// Counts frames by length in `LENGTHS`, and in `NO_ROOM` those that have no entry there and get none.
#[xdp]
fn lengths(ctx: XdpContext) -> u32 {
    let length = (ctx.data_end() - ctx.data()) as u32;
    // TODO 4: as soon as there is an entry this ends. How often is it worth a try? And who has no entry then?
    // <solution>
    for _ in 0..2 {
        if counted(length) {
            return XDP_PASS;
        }
        let _ = LENGTHS.insert(&length, &0, BPF_NOEXIST);
    }
    if let Some(count) = NO_ROOM.get_ptr_mut(0) {
        // SAFETY: it points to a value of the map.
        unsafe { *count += 1 };
    }
    // </solution>
    // <skeleton>
    //| while !counted(length) {
    //|     let _ = LENGTHS.insert(&length, &0, BPF_NOEXIST);
    //| }
    //| let _ = &NO_ROOM;
    // </skeleton>
    XDP_PASS
}

/// Adds one to the count of a length, if it has an entry; says whether it has.
fn counted(length: u32) -> bool {
    let Some(count) = LENGTHS.get_ptr_mut(&length) else { return false };
    // SAFETY: it points to a value of the map.
    unsafe { *count += 1 };
    true
}

/// When the first packet of each protocol came, in nanoseconds since boot.
#[btf_map]
static FIRST: HashMap<u8, u64, 256> = HashMap::new();

/// What goes into `FIRST`, and the flags for it.
struct Entry {
    time: u64,
    flags: u64,
}

/// Keeps when the first packet of each protocol came. What comes later changes nothing.
#[xdp]
fn first(ctx: XdpContext) -> u32 {
    let Some(protocol) = protocol(&ctx) else { return XDP_PASS };
    // TODO 5: one field of it nobody has written. Which flags does this map want?
    // <solution>
    // SAFETY: the helper takes nothing.
    let entry = Entry { time: unsafe { generated::bpf_ktime_get_ns() }, flags: BPF_NOEXIST };
    // </solution>
    // <skeleton>
    //| let mut entry = core::mem::MaybeUninit::<Entry>::uninit();
    //| // SAFETY: a field of it; the helper takes nothing.
    //| unsafe { (&raw mut (*entry.as_mut_ptr()).time).write(generated::bpf_ktime_get_ns()) };
    //| // SAFETY: it is written.
    //| let entry = unsafe { entry.assume_init() };
    // </skeleton>
    let _ = FIRST.insert(&protocol, &entry.time, entry.flags);
    XDP_PASS
}

/// The last three frames: 0 is the last, 1 the one before it, 2 the one before that.
#[btf_map]
static FRAMES: Array<Frame, 3> = Array::new();

/// A frame: how long it is, and its first bytes by eight; zeros where it has no eight bytes more.
#[derive(Clone, Copy)]
#[repr(C)]
struct Frame {
    length: u64,
    bytes: [[u8; 8]; 31],
}

/// Keeps the last three frames.
#[xdp]
fn frames(ctx: XdpContext) -> u32 {
    move_on(1, 2);
    move_on(0, 1);
    let mut frame = Frame { length: (ctx.data_end() - ctx.data()) as u64, bytes: [[0; 8]; 31] };
    for (number, eight) in frame.bytes.iter_mut().enumerate() {
        let at = ctx.data() + 8 * number;
        if at + 8 > ctx.data_end() {
            break;
        }
        // SAFETY: the packet has these eight bytes.
        *eight = unsafe { *(at as *const [u8; 8]) };
    }
    let _ = FRAMES.set(0, &frame, 0);
    XDP_PASS
}

/// Copies an entry of `FRAMES` to another one. It is called twice, and so it is a function of its own in the object
/// too, with a stack frame of its own.
#[inline(never)]
fn move_on(from: u32, to: u32) -> bool {
    let Some(frame) = FRAMES.get(from) else { return false };
    // TODO 6: one more Frame on the stack. Does it have to be there?
    // <solution>
    FRAMES.set(to, frame, 0).is_ok()
    // </solution>
    // <skeleton>
    //| let copy = *frame;
    //| FRAMES.set(to, &copy, 0).is_ok()
    // </skeleton>
}

/// The protocol of a packet of IPv4. None of others, of those with options in the header, of those too short.
fn protocol(ctx: &XdpContext) -> Option<u8> {
    let start = ctx.data();
    if start + IP + 20 > ctx.data_end() {
        return None;
    }
    // SAFETY: the packet has a whole header of IP, and what is before it.
    let (kind, first, protocol) = unsafe {
        (*((start + IP - 2) as *const [u8; 2]), *((start + IP) as *const u8), *((start + IP_PROTOCOL) as *const u8))
    };
    (kind == IPV4 && first == IP_FIRST).then_some(protocol)
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
