//! Programs that hand a packet on: one finds out what follows the header of IP, and calls the program for that.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    btf_maps::{PerCpuArray, PerCpuHashMap, ProgramArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// A program for each protocol of IP, by its number. User space puts them there, and leaves the other slots empty.
#[btf_map]
static PROGRAMS: ProgramArray<256> = ProgramArray::new();

/// What `start` hands to the program that it calls: where in the frame that begins what follows the header of IP. A CPU
/// is at one packet at a time, so each needs one value only.
#[btf_map]
static OFFSET: PerCpuArray<u32, 1> = PerCpuArray::new();

/// How many packets went to each port.
#[btf_map]
static PORTS: PerCpuHashMap<u16, u64, 65_536> = PerCpuHashMap::new();

/// How many packets were dropped.
#[btf_map]
static REFUSED: PerCpuArray<u64, 1> = PerCpuArray::new();

/// How many packets there was no program for.
#[btf_map]
static MISSED: PerCpuArray<u64, 1> = PerCpuArray::new();

const ETHER_TYPE: usize = 12;
const IPV4: [u8; 2] = [0x08, 0x00];
/// Where the header of IPv4 begins: 20 bytes, and behind them options, if there are any.
const IP: usize = 14;
/// In that header: what follows it.
const IP_PROTOCOL: usize = 9;
/// In the headers of UDP and TCP: the port that a packet goes to.
const TO_PORT: usize = 2;

/// Runs for each packet: this is the program that is attached.
#[xdp]
fn start(ctx: XdpContext) -> u32 {
    if let Some(protocol) = protocol(&ctx) {
        // TODO 2: call the program of this protocol: unsafe { PROGRAMS.tail_call(&ctx, INDEX) }; an index is a u32.
        // <solution>
        // SAFETY: nothing here has to be dropped.
        unsafe { PROGRAMS.tail_call(&ctx, protocol.into()) };
        // </solution>
        // <skeleton>
        //| let _ = (protocol, &PROGRAMS);
        // </skeleton>

        // TODO 3: nobody comes back from such a call, unless there was no program: then add(&MISSED).
        // <solution>
        add(&MISSED);
        // </solution>
        // <skeleton>
        //| let _ = &MISSED;
        // </skeleton>
    }
    XDP_PASS
}

/// The protocol of a packet, with OFFSET set; None if it is not IPv4, or too short to tell.
fn protocol(ctx: &XdpContext) -> Option<u8> {
    let ether_type: *const [u8; 2] = ptr_at(ctx, ETHER_TYPE)?;
    // SAFETY: ptr_at checked that it is in the packet.
    if unsafe { *ether_type } != IPV4 {
        return None;
    }
    let header: *const [u8; 20] = ptr_at(ctx, IP)?;
    // SAFETY: the same.
    let header = unsafe { *header };
    // TODO 1: the lower half of the first byte of the header says how long the header is, in words of 4 bytes. So what
    // follows it begins at IP and so many bytes more. It belongs into OFFSET: OFFSET.get_ptr_mut(0) is an Option, a
    // pointer.
    // <solution>
    let offset = IP + usize::from(header[0] & 0x0f) * 4;
    // SAFETY: it points to a value of the map, which only this CPU writes.
    unsafe { *OFFSET.get_ptr_mut(0)? = offset as u32 };
    // </solution>
    // <skeleton>
    //| let _ = &OFFSET;
    // </skeleton>
    Some(header[IP_PROTOCOL])
}

/// Counts packets by the port that they go to. It is called, with the packet as it came.
#[xdp]
fn ports(ctx: XdpContext) -> u32 {
    if let Some(port) = port(&ctx) {
        let _ = add_port(port);
    }
    XDP_PASS
}

/// The port that a packet goes to; None if it is too short.
fn port(ctx: &XdpContext) -> Option<u16> {
    // TODO 4: two bytes, TO_PORT behind what `start` left in OFFSET (OFFSET.get_ptr(0) is an Option, a pointer). On the
    // wire they are big endian: u16::from_be_bytes(...).
    // <solution>
    // SAFETY: it points to a value of the map, which only this CPU writes.
    let offset = unsafe { *OFFSET.get_ptr(0)? } as usize;
    let port: *const [u8; 2] = ptr_at(ctx, offset + TO_PORT)?;
    // SAFETY: ptr_at checked that it is in the packet.
    Some(u16::from_be_bytes(unsafe { *port }))
    // </solution>
    // <skeleton>
    //| let _ = (ctx, &OFFSET, TO_PORT);
    //| None
    // </skeleton>
}

/// Drops packets. It is called as well.
#[xdp]
fn refuse(_ctx: XdpContext) -> u32 {
    // TODO 5: count the packet in REFUSED, and drop it: return XDP_DROP.
    // <solution>
    add(&REFUSED);
    XDP_DROP
    // </solution>
    // <skeleton>
    //| let _ = (&REFUSED, XDP_DROP);
    //| XDP_PASS
    // </skeleton>
}

/// Adds one to a count.
fn add(count: &PerCpuArray<u64, 1>) {
    if let Some(count) = count.get_ptr_mut(0) {
        // SAFETY: it points to a value of the map, which only this CPU writes.
        unsafe { *count += 1 };
    }
}

/// Adds one to the count of a port.
fn add_port(port: u16) -> Option<()> {
    let count = PORTS.get_ptr_mut(&port).or_else(|| {
        let _ = PORTS.insert(&port, &0, 1);
        PORTS.get_ptr_mut(&port)
    })?;
    // SAFETY: it points to a value of the map, which only this CPU writes.
    unsafe { *count += 1 };
    Some(())
}

/// A pointer to a `T` in the packet, or None where the packet ends before.
fn ptr_at<T>(ctx: &XdpContext, offset: usize) -> Option<*const T> {
    // The verifier takes an offset that was computed only if it is small for certain.
    if offset > 0x7fff {
        return None;
    }
    let (start, end) = (ctx.data() + offset, ctx.data_end());
    (start + size_of::<T>() <= end).then_some(start as *const T)
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
