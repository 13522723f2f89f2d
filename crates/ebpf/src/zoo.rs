//! Small programs that verifiers refuse, each with a twin that they take (`ebpflab verifier`).
//!
//! Of each pair `bad_` is what people write, `good_` is how it is mended. What each is refused for is in
//! crates/loader/src/verifier/zoo.rs; `// Refused:` stands above the line that the explanation has to name.
//! Nothing here is ever attached.
#![no_std]
#![no_main]

use core::{hint::black_box, mem::MaybeUninit};

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    btf_maps::{Array, RingBuf},
    helpers::{bpf_probe_read_kernel, generated},
    macros::{btf_map, cgroup_skb, raw_tracepoint, xdp},
    programs::{RawTracePointContext, SkBuffContext, XdpContext},
};
// For the licence and the panic handler.
use ebpflab_ebpf as _;

#[btf_map]
static WORDS: Array<u64, 1> = Array::new();

#[btf_map]
static TABLE: Array<[u8; 16], 1> = Array::new();

#[btf_map]
static EVENTS: RingBuf<u64, 4096> = RingBuf::new();

/// Waits for a word that nobody may ever set.
#[xdp]
fn bad_loop(_ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get(0) else { return XDP_PASS };
    // Refused:
    while *word == 0 {
        // It emits nothing; without it the compiler reads the word once.
        black_box(());
    }
    XDP_DROP
}

#[xdp]
fn good_loop(_ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get(0) else { return XDP_PASS };
    for _ in 0..16 {
        if *word != 0 {
            return XDP_DROP;
        }
        black_box(());
    }
    XDP_PASS
}

/// Takes a struct for written that is written in part.
#[xdp]
fn bad_uninit(_ctx: XdpContext) -> u32 {
    let mut route = MaybeUninit::<Route>::uninit();
    // SAFETY: a field of it.
    unsafe { (&raw mut (*route.as_mut_ptr()).flags).write(now()) };
    // SAFETY: there is none, `ifindex` was never written.
    let route = unsafe { route.assume_init() };
    // Refused:
    unsafe { generated::bpf_redirect(route.ifindex, route.flags & 1) as u32 }
}

#[xdp]
fn good_uninit(_ctx: XdpContext) -> u32 {
    let route = Route { ifindex: 1, flags: now() & 1 };
    // SAFETY: the helper takes any numbers.
    unsafe { generated::bpf_redirect(route.ifindex, route.flags) as u32 }
}

struct Route {
    ifindex: u32,
    flags: u64,
}

/// Reads a packet that may be shorter.
#[xdp]
fn bad_bounds(ctx: XdpContext) -> u32 {
    let frame = ctx.data() as *const u8;
    // SAFETY: there is none, nobody has compared with `data_end`.
    // Refused:
    let ethertype = unsafe { *frame.add(12) };
    if ethertype == 0x08 { XDP_DROP } else { XDP_PASS }
}

#[xdp]
fn good_bounds(ctx: XdpContext) -> u32 {
    let frame = ctx.data() as *const u8;
    if ctx.data() + 14 > ctx.data_end() {
        return XDP_PASS;
    }
    // SAFETY: the frame has 14 bytes.
    let ethertype = unsafe { *frame.add(12) };
    if ethertype == 0x08 { XDP_DROP } else { XDP_PASS }
}

/// Takes it that a lookup always finds something.
#[xdp]
fn bad_null(ctx: XdpContext) -> u32 {
    // SAFETY: there is none: the array has one element. (Kernels from 6.14 on know that of an index that is constant.)
    let word = unsafe { WORDS.get((*ctx.ctx).rx_queue_index).unwrap_unchecked() };
    // Refused:
    if *word == 0 { XDP_DROP } else { XDP_PASS }
}

#[xdp]
fn good_null(ctx: XdpContext) -> u32 {
    // SAFETY: a field of the context.
    let Some(word) = WORDS.get(unsafe { (*ctx.ctx).rx_queue_index }) else { return XDP_PASS };
    if *word == 0 { XDP_DROP } else { XDP_PASS }
}

/// Has 320 bytes on its stack, and calls a function that has as many.
// Refused:
#[xdp]
fn bad_stack(_ctx: XdpContext) -> u32 {
    let mut buffer = MaybeUninit::<[u64; 40]>::uninit();
    let first = black_box(buffer.as_mut_ptr().cast::<u64>());
    // SAFETY: the first word of the buffer.
    let sum = unsafe {
        *first = deep(now());
        *first
    };
    if sum == 0 { XDP_DROP } else { XDP_PASS }
}

#[inline(never)]
fn deep(seed: u64) -> u64 {
    let mut buffer = MaybeUninit::<[u64; 40]>::uninit();
    let first = black_box(buffer.as_mut_ptr().cast::<u64>());
    // SAFETY: the first word of the buffer.
    unsafe {
        *first = seed;
        *first
    }
}

#[xdp]
fn good_stack(_ctx: XdpContext) -> u32 {
    if deep(now()) == 0 { XDP_DROP } else { XDP_PASS }
}

/// Sends a packet on from where there is none.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn bad_helper(_ctx: RawTracePointContext) -> i32 {
    let Some(ifindex) = WORDS.get(0) else { return 0 };
    // SAFETY: the helper takes any numbers.
    // Refused:
    unsafe { generated::bpf_redirect(*ifindex as u32, 0) as i32 }
}

#[xdp]
fn good_helper(_ctx: XdpContext) -> u32 {
    let Some(ifindex) = WORDS.get(0) else { return XDP_PASS };
    // SAFETY: the helper takes any numbers.
    unsafe { generated::bpf_redirect(*ifindex as u32, 0) as u32 }
}

/// Follows a pointer of the kernel as if it were the program's own.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn bad_scalar(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const u64;
    let Some(word) = WORDS.get_ptr_mut(0) else { return 0 };
    // SAFETY: there is none, to the verifier this is a number.
    // Refused:
    unsafe { *word = *registers };
    0
}

#[raw_tracepoint(tracepoint = "sys_enter")]
fn good_scalar(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const u64;
    let Some(word) = WORDS.get_ptr_mut(0) else { return 0 };
    // SAFETY: the helper takes any address.
    let Ok(first) = (unsafe { bpf_probe_read_kernel(registers) }) else { return 0 };
    // SAFETY: a value of the map.
    unsafe { *word = first };
    0
}

/// Reads behind the end of its context.
#[xdp]
fn bad_context(ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: there is none, `struct xdp_md` has six words.
    // Refused:
    unsafe { *word = u64::from(*ctx.ctx.cast::<u32>().add(16)) };
    XDP_PASS
}

#[xdp]
fn good_context(ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: a value of the map, and a field of the context.
    unsafe { *word = u64::from((*ctx.ctx).rx_queue_index) };
    XDP_PASS
}

/// Takes room in a ring buffer, and forgets about it.
#[xdp]
fn bad_leak(_ctx: XdpContext) -> u32 {
    // Refused:
    let Some(mut entry) = EVENTS.reserve(0) else { return XDP_PASS };
    entry.write(1);
    XDP_PASS
}

#[xdp]
fn good_leak(_ctx: XdpContext) -> u32 {
    let Some(mut entry) = EVENTS.reserve(0) else { return XDP_PASS };
    entry.write(1);
    entry.submit(0);
    XDP_PASS
}

/// Returns what may mean nothing to its hook, where 0 is "drop" and 1 is "pass".
#[cgroup_skb(ingress)]
fn bad_return(_ctx: SkBuffContext) -> i32 {
    let Some(verdict) = WORDS.get(0) else { return 1 };
    // Refused:
    *verdict as i32
}

#[cgroup_skb(ingress)]
fn good_return(_ctx: SkBuffContext) -> i32 {
    let Some(verdict) = WORDS.get(0) else { return 1 };
    i32::from(*verdict != 0)
}

/// Indexes a slice, and so may panic.
#[xdp]
fn bad_panic(ctx: XdpContext) -> u32 {
    // SAFETY: a field of the context.
    let queue = unsafe { (*ctx.ctx).rx_queue_index };
    // Refused:
    ACTIONS[queue as usize]
}

#[xdp]
fn good_panic(ctx: XdpContext) -> u32 {
    // SAFETY: a field of the context.
    let queue = unsafe { (*ctx.ctx).rx_queue_index };
    ACTIONS.get(queue as usize).copied().unwrap_or(XDP_PASS)
}

static ACTIONS: [u32; 3] = [XDP_PASS, XDP_DROP, XDP_PASS];

/// Lets a number from outside say how many bytes are copied to the stack.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn bad_size(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const _;
    let Some(len) = WORDS.get(0) else { return 0 };
    let mut buffer = [0u8; 8];
    // SAFETY: there is none, the buffer may be smaller.
    // Refused:
    unsafe { generated::bpf_probe_read_kernel(buffer.as_mut_ptr().cast(), *len as u32, registers) as i32 }
}

#[raw_tracepoint(tracepoint = "sys_enter")]
fn good_size(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const _;
    let Some(len) = WORDS.get(0) else { return 0 };
    let mut buffer = [0u8; 8];
    // SAFETY: at most 7 bytes.
    unsafe { generated::bpf_probe_read_kernel(buffer.as_mut_ptr().cast(), *len as u32 & 7, registers) as i32 }
}

/// Has a helper write to a buffer that nobody has written before, up to a length that is not constant.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn bad_buffer(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const _;
    let Some(len) = WORDS.get(0) else { return 0 };
    let mut buffer = MaybeUninit::<[u8; 8]>::uninit();
    // SAFETY: at most 7 bytes.
    // Refused:
    unsafe { generated::bpf_probe_read_kernel(buffer.as_mut_ptr().cast(), *len as u32 & 7, registers) as i32 }
}

#[raw_tracepoint(tracepoint = "sys_enter")]
fn good_buffer(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const _;
    let Some(len) = WORDS.get(0) else { return 0 };
    let mut buffer = [0u8; 8];
    // SAFETY: at most 7 bytes.
    unsafe { generated::bpf_probe_read_kernel(buffer.as_mut_ptr().cast(), *len as u32 & 7, registers) as i32 }
}

/// Lets a number from outside choose an element of a map's value.
#[xdp]
fn bad_index(ctx: XdpContext) -> u32 {
    let Some(table) = TABLE.get(0) else { return XDP_PASS };
    // SAFETY: a field of the context.
    let queue = unsafe { (*ctx.ctx).rx_queue_index };
    // SAFETY: there is none, the table has 16 elements.
    // Refused:
    u32::from(unsafe { *table.as_ptr().add(queue as usize) })
}

#[xdp]
fn good_index(ctx: XdpContext) -> u32 {
    let Some(table) = TABLE.get(0) else { return XDP_PASS };
    // SAFETY: a field of the context.
    let queue = unsafe { (*ctx.ctx).rx_queue_index };
    // SAFETY: the table has 16 elements.
    u32::from(unsafe { *table.as_ptr().add(queue as usize & 15) })
}

/// Moves a pointer into a packet by a number that may be anything.
#[xdp]
fn bad_offset(ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get(0) else { return XDP_PASS };
    // Refused:
    let at = ctx.data() + *word as usize;
    if at + 2 > ctx.data_end() {
        return XDP_PASS;
    }
    // SAFETY: the packet has that byte, and the next one.
    u32::from(unsafe { *(at as *const u8) })
}

#[xdp]
fn good_offset(ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get(0) else { return XDP_PASS };
    let at = ctx.data() + (*word & 0xff) as usize;
    if at + 2 > ctx.data_end() {
        return XDP_PASS;
    }
    // SAFETY: the packet has that byte, and the next one.
    u32::from(unsafe { *(at as *const u8) })
}

/// Gives memory of the kernel to a helper that wants memory of the program.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn bad_argument(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const u64;
    let Some(flags) = WORDS.get(0) else { return 0 };
    // SAFETY: there is none, to the verifier this is a number.
    // Refused:
    let _ = EVENTS.output(unsafe { &*registers }, *flags);
    0
}

#[raw_tracepoint(tracepoint = "sys_enter")]
fn good_argument(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0) as *const u64;
    let Some(flags) = WORDS.get(0) else { return 0 };
    // SAFETY: the helper takes any address.
    let Ok(first) = (unsafe { bpf_probe_read_kernel(registers) }) else { return 0 };
    let _ = EVENTS.output(&first, *flags);
    0
}

/// Calls a helper that came with Linux 5.11.
#[xdp]
fn bad_missing(_ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: a value of the map, and the helper takes nothing.
    // Refused:
    unsafe { *word = generated::bpf_ktime_get_coarse_ns() };
    XDP_PASS
}

#[xdp]
fn good_missing(_ctx: XdpContext) -> u32 {
    let Some(word) = WORDS.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: a value of the map.
    unsafe { *word = now() };
    XDP_PASS
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { generated::bpf_ktime_get_ns() }
}
