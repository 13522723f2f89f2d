//! Packets and bytes on an interface by process: sockets carry whose they are, and packets are counted for whoever that
//! is, or else by the reason why nobody is known. Passes every one of them on.
#![no_std]
#![no_main]

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, TC_ACT_UNSPEC, bpf_map_type, bpf_sock},
    btf_maps::{Array, HashMap, LruHashMap},
    helpers::generated::{
        bpf_get_listener_sock, bpf_sk_fullsock, bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release,
        bpf_sk_storage_get,
    },
    macros::{btf_map, cgroup_sock, classifier, raw_tracepoint},
    programs::{RawTracePointContext, SockContext, TcContext},
};
use ebpflab_common::{
    filter::Task as _,
    flows::{Direction, Flow, flow},
    packet::{IPPROTO_TCP, Packet as _, Traffic},
    traffic::{Ends, MAX_ACCEPTED, MAX_ENTRIES, Owner, Process, Reason, SLOTS, Share, Socket, ends, without_socket},
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{self, atomic_add, read},
    ledger::ledger,
    registers::{accepts, number},
    skb::Skb,
    task::{Current, file},
};

/// A map of socket storage as BTF describes it; that of aya does not let storage be cloned.
#[repr(C)]
struct SocketStorage {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Socket,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: nothing but its address is used.
unsafe impl Sync for SocketStorage {}

/// Whose each socket is. A connection gets what the listening socket has, until it is accepted.
#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static SOCKETS: SocketStorage = SocketStorage {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
    map_flags: ptr::null(),
};

/// Who accepted connections, by the addresses of their sockets, until a packet comes past or they are closed: only
/// programs that are given a socket may write to its storage, and those of tracepoints are not.
#[btf_map]
static ACCEPTED: LruHashMap<u64, Owner, { MAX_ACCEPTED as usize }> = LruHashMap::new();

#[btf_map]
static PROCESSES: HashMap<Process, Share, { MAX_ENTRIES as usize }> = HashMap::new();

/// Packets of no process, by [`Reason::slot`].
#[btf_map]
static UNATTRIBUTED: Array<Traffic, { SLOTS as usize }> = Array::new();

/// Whether frames begin with an Ethernet header; else with the network header.
#[unsafe(no_mangle)]
static IS_ETHERNET: Global<u32> = Global::new(1);

/// Bytes of a frame that the interface does not count: lo has link headers, but leaves them out.
#[unsafe(no_mangle)]
static UNCOUNTED: Global<u32> = Global::new(0);

const BPF_NOEXIST: u64 = 1;

/// Lets the programs after this one decide; so does `TCX_NEXT`, which is the same number.
const NEXT: i32 = TC_ACT_UNSPEC;

/// The process and the thread that run this.
#[inline(always)]
fn current() -> Owner {
    Owner { pid: Current.pid_tid().0, comm: Current.comm() }
}

/// Whatever `ENABLED` says: whose a socket is has to be known before it is asked for.
#[cgroup_sock(sock_create)]
fn sockets_made(ctx: SockContext) -> i32 {
    const PASS: i32 = 1;
    // SAFETY: it is the context.
    let _ = unsafe { stored(ctx.as_ptr(), current()) };
    PASS
}

/// Before a socket is closed: what it sends after that is of whoever accepted it too, and its address is free for another.
#[cgroup_sock(sock_release)]
fn sockets_closed(ctx: SockContext) -> i32 {
    const PASS: i32 = 1;
    // SAFETY: it is the context, and what is stored is its own.
    unsafe {
        if let Some(stored) = stored(ctx.as_ptr(), Owner::default()) {
            claim(stored, ctx.as_ptr());
        }
    }
    PASS
}

/// `TP_PROTO(struct pt_regs *regs, long ret)`. Whatever `ENABLED` says, too.
#[raw_tracepoint(tracepoint = "sys_exit")]
fn accepts_exit(ctx: RawTracePointContext) -> i32 {
    if number(ctx.arg(0)).and_then(accepts).is_some() {
        let _ = accepted(ctx.arg(1));
    }
    0
}

#[inline(always)]
fn accepted(fd: i64) -> Option<()> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    // A negative one is an error, and no file.
    let socket: *const u8 = read(file(fd as i32)?, kernel::file_private_data())?;
    let sk: *const u8 = read(socket, kernel::socket_sk())?;
    let family: u16 = read(sk, kernel::sock_common_skc_family())?;
    if matches!(family, AF_INET | AF_INET6) {
        let _ = ACCEPTED.insert(&(sk as u64), &current(), 0);
    }
    Some(())
}

#[classifier]
fn traffic_ingress(ctx: TcContext) -> i32 {
    if enabled() {
        let _ = count(&ctx, Direction::Ingress);
    }
    NEXT
}

#[classifier]
fn traffic_egress(ctx: TcContext) -> i32 {
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
    let flow = flow(&skb, IS_ETHERNET.load() != 0, skb.ethertype(), 0, direction);
    let mut owner = Owner::default();
    let counter = match attribute(ctx, &flow, direction, &mut owner) {
        Ok(()) => {
            share(&Process { pid: owner.pid, protocol: flow.protocol.into(), direction: direction as u32 }, &owner)
        }
        Err(reason) => UNATTRIBUTED.get_ptr_mut(reason.slot(direction)),
    };
    match counter {
        Some(counter) => {
            add(counter, &skb);
            book!(ledger, submitted);
        }
        None => {
            add(UNATTRIBUTED.get_ptr_mut(Reason::MapFull.slot(direction))?, &skb);
            book!(ledger, map_full);
        }
    }
    Some(())
}

#[inline(always)]
fn add(traffic: *mut Traffic, skb: &Skb<'_>) {
    let bytes = (skb.size() as u64).saturating_sub(UNCOUNTED.load().into());
    // SAFETY: a value of a map.
    unsafe {
        atomic_add(&raw mut (*traffic).packets, 1);
        atomic_add(&raw mut (*traffic).bytes, bytes);
    }
}

/// Whose the socket of a packet is.
#[inline(always)]
fn attribute(ctx: &TcContext, flow: &Flow, direction: Direction, owner: &mut Owner) -> Result<(), Reason> {
    if let Some(reason) = without_socket(flow, direction) {
        return Err(reason);
    }
    match direction {
        Direction::Ingress => receiver(ctx, flow, owner),
        Direction::Egress => sender(ctx, owner),
    }
}

/// The socket that sent a packet is known as long as it has not left the host. What answers for a connection that is yet
/// to be is that of the listening socket.
#[inline(always)]
fn sender(ctx: &TcContext, owner: &mut Owner) -> Result<(), Reason> {
    // SAFETY: the verifier turns it into a load of its own; the helpers take what is no null pointer.
    unsafe {
        let sk = (*ctx.skb.skb).__bindgen_anon_2.sk;
        if sk.is_null() {
            return Err(Reason::NoSocket);
        }
        let mut socket = bpf_sk_fullsock(sk);
        if socket.is_null() {
            socket = bpf_get_listener_sock(sk);
        }
        if socket.is_null() { Err(Reason::NoSocket) } else { whose(socket, owner) }
    }
}

/// The socket that will receive a packet is looked for as the kernel will.
#[inline(always)]
fn receiver(ctx: &TcContext, flow: &Flow, owner: &mut Owner) -> Result<(), Reason> {
    /// The network namespace of the interface.
    const CURRENT_NETNS: u64 = u64::MAX;
    let mut room = Ends::default();
    let len = ends(flow, &mut room);
    // SAFETY: the ends are as long as is said; what is found is let go of.
    unsafe {
        let (skb, ends) = (ctx.skb.skb.cast(), room.as_mut_ptr().cast());
        let socket = if flow.protocol == IPPROTO_TCP {
            bpf_sk_lookup_tcp(skb, ends, len, CURRENT_NETNS, 0)
        } else {
            bpf_sk_lookup_udp(skb, ends, len, CURRENT_NETNS, 0)
        };
        if socket.is_null() {
            return Err(Reason::NoSocket);
        }
        let found = whose(socket, owner);
        bpf_sk_release(socket.cast());
        found
    }
}

/// Whose a socket is.
///
/// # Safety
/// It must be a full socket.
#[inline(always)]
unsafe fn whose(socket: *mut bpf_sock, owner: &mut Owner) -> Result<(), Reason> {
    // SAFETY: the caller's promise.
    let Some(stored) = (unsafe { stored(socket.cast(), Owner::default()) }) else { return Err(Reason::UnknownProcess) };
    // SAFETY: a value of the map.
    unsafe {
        claim(stored, socket.cast());
        *owner = (*stored).owner;
    }
    if owner.pid == 0 { Err(Reason::UnknownProcess) } else { Ok(()) }
}

/// What a socket has in store, made if there is nothing yet; `None` without memory for it.
///
/// # Safety
/// It must be a full socket, or the context of a program on one.
#[inline(always)]
unsafe fn stored(socket: *mut c_void, owner: Owner) -> Option<*mut Socket> {
    let mut new = Socket::of(owner);
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: the map is one of socket storage with values of this type.
    let found = unsafe {
        let map = (&raw const SOCKETS).cast_mut().cast();
        bpf_sk_storage_get(map, socket, (&raw mut new).cast(), flags).cast::<Socket>()
    };
    (!found.is_null()).then_some(found)
}

/// Makes a socket one of who accepted it, if somebody has since this was asked last.
///
/// # Safety
/// `stored` must be what the socket has in store.
#[inline(always)]
unsafe fn claim(stored: *mut Socket, socket: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe {
        // The verifier takes no pointer for a key, but in memory of a map it forgets that it is one.
        let address = &raw mut (*stored).address;
        address.write_volatile(socket as u64);
        let address = address.read_volatile();
        if let Some(acceptor) = ACCEPTED.get(&address) {
            (*stored).owner = *acceptor;
            let _ = ACCEPTED.remove(&address);
        }
    }
}

/// The counter of a process, made if it has none yet; `None` when the map is full. Inserting zero and then adding is
/// right when two CPUs meet a new process together.
#[inline(always)]
fn share(process: &Process, owner: &Owner) -> Option<*mut Traffic> {
    let share = PROCESSES.get_ptr_mut(process).or_else(|| {
        let _ = PROCESSES.insert(process, &Share { comm: owner.comm, ..Share::default() }, BPF_NOEXIST);
        PROCESSES.get_ptr_mut(process)
    })?;
    // SAFETY: a value of the map.
    Some(unsafe { &raw mut (*share).traffic })
}
