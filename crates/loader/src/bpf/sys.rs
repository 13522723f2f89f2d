//! The `bpf(2)` commands that aya 0.14 does not wrap.

use std::{
    ffi::{CStr, CString},
    io,
    mem::offset_of,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use aya::Pod;
use aya_obj::generated::{bpf_btf_info, bpf_insn, bpf_map_info, bpf_prog_info};

// enum bpf_cmd, include/uapi/linux/bpf.h
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_LINK_CREATE: libc::c_long = 28;

/// Entries asked for in one call.
const CHUNK: usize = 4_096;
/// Bytes of keys and values in one call, unless one entry is longer.
const MOST_BYTES: usize = 4 << 20;

/// `bpf(cmd, attr)`. The kernel reads zeros past the end of an `attr` that is shorter than its own.
fn bpf<T>(cmd: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is valid for its size for the whole call; callers fill it as the command wants it.
    let ret = unsafe { libc::syscall(libc::SYS_bpf, cmd, std::ptr::from_mut(attr), size_of::<T>()) };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

/// `union bpf_attr`, the part for batches.
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// All entries of a map, in chunks (of hash maps 5.6 and later, of others later).
///
/// # Errors
/// What the kernel said; `EINVAL` or `ENOTSUPP` (524) where it has no batches for this kind of map.
pub(crate) fn entries(
    map: BorrowedFd<'_>,
    key_bytes: usize,
    value_bytes: usize,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut entries = Vec::new();
    chunks(map, key_bytes, value_bytes, |keys, values| {
        let pairs = keys.chunks_exact(key_bytes).zip(values.chunks_exact(value_bytes));
        entries.extend(pairs.map(|(key, value)| (key.to_vec(), value.to_vec())));
    })?;
    Ok(entries)
}

/// The same for keys and values of fixed size.
///
/// # Errors
/// The same.
pub(crate) fn lookup_all<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    chunks(map, size_of::<K>(), size_of::<V>(), |keys, values| {
        let pairs = keys.chunks_exact(size_of::<K>()).zip(values.chunks_exact(size_of::<V>()));
        // SAFETY: each is as long as its type, and `Pod` takes any bytes.
        entries.extend(pairs.map(|(key, value)| unsafe {
            (key.as_ptr().cast::<K>().read_unaligned(), value.as_ptr().cast::<V>().read_unaligned())
        }));
    })?;
    Ok(entries)
}

fn chunks(
    map: BorrowedFd<'_>,
    key_bytes: usize,
    value_bytes: usize,
    mut read: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    if key_bytes == 0 || value_bytes == 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut chunk = CHUNK.min(MOST_BYTES / (key_bytes + value_bytes)).max(1);
    // Of a hash map the number of a bucket, of others a key.
    let mut position = vec![0u8; key_bytes.max(size_of::<u32>())];
    let mut next = position.clone();
    let mut is_first = true;
    loop {
        let mut keys = vec![0u8; chunk * key_bytes];
        let mut values = vec![0u8; chunk * value_bytes];
        let mut attr = Batch {
            in_batch: if is_first { 0 } else { position.as_ptr() as u64 },
            out_batch: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: chunk as u32,
            map_fd: map.as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        let last = match bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            // One bucket holds more than a chunk.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                chunk *= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        let count = (attr.count as usize).min(chunk);
        read(&keys[..count * key_bytes], &values[..count * value_bytes]);
        if last {
            return Ok(());
        }
        is_first = false;
        std::mem::swap(&mut position, &mut next);
    }
}

/// The part of `union bpf_attr` for entries of maps.
#[repr(C)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    /// Or where the next key goes.
    value: u64,
    flags: u64,
}

fn element(cmd: libc::c_long, map: BorrowedFd<'_>, key: *const u8, value: *mut u8) -> io::Result<()> {
    let mut attr =
        Element { map_fd: map.as_raw_fd() as u32, padding: 0, key: key as u64, value: value as u64, flags: 0 };
    bpf(cmd, &mut attr).map(drop)
}

/// Whether something is there; other errors stay errors.
fn is_there(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        result => result.map(|()| true),
    }
}

/// The value of a key, of so many bytes; `None` if it is not there.
///
/// # Errors
/// What the kernel said.
pub(crate) fn lookup(map: BorrowedFd<'_>, key: &[u8], value_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
    let mut value = vec![0; value_bytes];
    Ok(is_there(element(BPF_MAP_LOOKUP_ELEM, map, key.as_ptr(), value.as_mut_ptr()))?.then_some(value))
}

/// Writes an entry.
///
/// # Errors
/// What the kernel said.
pub(crate) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
    // The kernel only reads it.
    element(BPF_MAP_UPDATE_ELEM, map, key.as_ptr(), value.as_ptr().cast_mut())
}

/// Takes an entry out; whether it was there.
///
/// # Errors
/// What the kernel said.
pub(crate) fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<bool> {
    const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
    is_there(element(BPF_MAP_DELETE_ELEM, map, key.as_ptr(), std::ptr::null_mut()))
}

/// The key after another, or the first; whether there is one.
///
/// # Errors
/// What the kernel said.
pub(crate) fn next_key(map: BorrowedFd<'_>, before: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
    const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
    let before = before.map_or(std::ptr::null(), <[u8]>::as_ptr);
    is_there(element(BPF_MAP_GET_NEXT_KEY, map, before, next.as_mut_ptr()))
}

/// What the kernel numbers: the commands that give the next id, and a descriptor of one.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    next_id: libc::c_long,
    fd_by_id: libc::c_long,
}

pub(crate) const PROGRAMS: Kind = Kind { next_id: 11, fd_by_id: 13 };
pub(crate) const MAPS: Kind = Kind { next_id: 12, fd_by_id: 14 };
pub(crate) const LINKS: Kind = Kind { next_id: 31, fd_by_id: 30 };
/// Type information.
pub(crate) const BTFS: Kind = Kind { next_id: 23, fd_by_id: 19 };

/// The part of `union bpf_attr` for ids.
#[repr(C)]
#[derive(Default)]
struct Id {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The ids of all programs, maps or links, ascending.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `EINVAL` before the kernel had such ids (links: 5.8).
pub(crate) fn ids(kind: Kind) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut attr = Id::default();
    loop {
        match bpf(kind.next_id, &mut attr) {
            Ok(_) => ids.push(attr.next_id),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(ids),
            Err(error) => return Err(error),
        }
        attr.id = attr.next_id;
    }
}

/// A descriptor of one of them; `None` if it has gone away.
///
/// # Errors
/// What the kernel said.
pub(crate) fn open(kind: Kind, id: u32) -> io::Result<Option<OwnedFd>> {
    match bpf(kind.fd_by_id, &mut Id { id, ..Id::default() }) {
        // SAFETY: the kernel has just given it to us.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The start of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// What `BPF_OBJ_GET_INFO_BY_FD` fills.
///
/// # Safety
/// Plain integers, of which zeros ask for nothing, and addresses are of memory that is as long as the number beside
/// them says.
pub(crate) unsafe trait Info {}
// SAFETY: integers and bit fields.
unsafe impl Info for bpf_prog_info {}
// SAFETY: as above.
unsafe impl Info for bpf_map_info {}
// SAFETY: as above.
unsafe impl Info for bpf_btf_info {}

/// `struct bpf_link_info` by its words of 8 bytes: what stands where depends on the type of the link.
pub(crate) type LinkInfo = [u64; 16];
// SAFETY: as above.
unsafe impl Info for LinkInfo {}

/// What the kernel says about a program, map or link, and how many bytes of it it knows.
///
/// # Errors
/// What the kernel said.
pub(crate) fn info<T: Info>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<usize> {
    let mut attr = InfoByFd {
        bpf_fd: fd.as_raw_fd() as u32,
        info_len: size_of::<T>() as u32,
        info: std::ptr::from_mut(info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(attr.info_len as usize)
}

/// An info that asks for nothing, with padding of zeros, which the kernel wants too.
pub(crate) fn blank<T: Info>() -> T {
    // SAFETY: so the trait says.
    unsafe { std::mem::zeroed() }
}

/// Type information that somebody has loaded.
///
/// # Errors
/// What the kernel said.
pub(crate) fn btf(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut about = blank::<bpf_btf_info>();
    info(fd, &mut about)?;
    let mut bytes = vec![0u8; about.btf_size as usize];
    about = blank();
    (about.btf, about.btf_size) = (bytes.as_mut_ptr() as u64, bytes.len() as u32);
    info(fd, &mut about)?;
    Ok(bytes)
}

fn program_info(program: BorrowedFd<'_>) -> io::Result<(bpf_prog_info, usize)> {
    let mut about = blank();
    let known = info(program, &mut about)?;
    Ok((about, known))
}

/// Has the kernel measure how often programs run and how long, as long as the descriptor is open (5.8 and later).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN.
pub(crate) fn enable_stats() -> io::Result<OwnedFd> {
    const BPF_ENABLE_STATS: libc::c_long = 32;
    const BPF_STATS_RUN_TIME: u32 = 0;
    let fd = bpf(BPF_ENABLE_STATS, &mut BPF_STATS_RUN_TIME.clone())?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The part of `union bpf_attr` for questions about what is attached. The kernel writes its last field whatever size it
/// is told.
#[repr(C)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// Attachments to TCX (`enum bpf_attach_type`, include/uapi/linux/bpf.h).
pub(crate) const TCX_INGRESS: u32 = 46;
pub(crate) const TCX_EGRESS: u32 = 47;

/// The ids of the programs on an interface; takes CAP_NET_ADMIN.
pub(crate) fn programs_on(interface: u32, attach_type: u32) -> io::Result<Vec<u32>> {
    const BPF_PROG_QUERY: libc::c_long = 16;
    // BPF_MPROG_MAX, kernel/bpf/mprog.c
    let mut ids = vec![0u32; 64];
    let mut attr = Query {
        target_ifindex: interface,
        attach_type,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        padding: 0,
        prog_attach_flags: 0,
        link_ids: 0,
        link_attach_flags: 0,
        revision: 0,
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    ids.truncate(attr.count as usize);
    Ok(ids)
}

/// What the kernel says about a program.
pub(crate) struct AboutProgram {
    pub(crate) id: u32,
    /// `None` before 5.16.
    pub(crate) verified_instructions: Option<u32>,
    pub(crate) run_count: u64,
    pub(crate) run_time_ns: u64,
}

pub(crate) fn about_program(program: BorrowedFd<'_>) -> io::Result<AboutProgram> {
    let (about, known) = program_info(program)?;
    let tells = known >= offset_of!(bpf_prog_info, verified_insns) + size_of::<u32>();
    Ok(AboutProgram {
        id: about.id,
        verified_instructions: tells.then_some(about.verified_insns),
        run_count: about.run_cnt,
        run_time_ns: about.run_time_ns,
    })
}

/// The kernel's id of a program.
pub(crate) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(program_info(program)?.0.id)
}

/// Times the kernel skipped a program because it was running on the same CPU already; `None` before 5.12, which
/// does not tell.
pub(crate) fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let (info, known) = program_info(program)?;
    let told = known >= offset_of!(bpf_prog_info, recursion_misses) + size_of::<u64>();
    Ok(told.then_some(info.recursion_misses))
}

/// `struct perf_event_attr` as it was second (`PERF_ATTR_SIZE_VER1`), include/uapi/linux/perf_event.h.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    /// Period, or how often a second.
    sample_freq: u64,
    /// What is in samples, and in what is read.
    formats: [u64; 2],
    /// `PERF_ATTR_...` below.
    flags: u64,
    wakeup: u64,
    config1: u64,
    config2: u64,
}

/// No ticks while a CPU has nothing to do; `sample_freq` is how often, not a period.
const PERF_ATTR_EXCLUDE_IDLE: u64 = 1 << 7;
const PERF_ATTR_FREQ: u64 = 1 << 10;

const ANY_PROCESS: libc::pid_t = -1;
const ANY_CPU: libc::c_int = -1;
const PERF_TYPE_SOFTWARE: u32 = 1;

fn perf_event_open(mut attr: PerfEventAttr, pid: libc::pid_t, cpu: libc::c_int) -> io::Result<OwnedFd> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
    const NO_GROUP: libc::c_int = -1;
    attr.size = size_of::<PerfEventAttr>() as u32;
    // SAFETY: `attr` is valid for its size for the whole call.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, NO_GROUP, PERF_FLAG_FD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Opens the event of a tracepoint, by its number.
///
/// # Errors
/// What the kernel said.
pub(crate) fn open_tracepoint(id: u64) -> io::Result<OwnedFd> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    perf_event_open(PerfEventAttr { kind: PERF_TYPE_TRACEPOINT, config: id, ..Default::default() }, ANY_PROCESS, 0)
}

/// Opens the event of a CPU's clock, which ticks so many times a second while the CPU has something to do.
///
/// # Errors
/// What the kernel said; `EINVAL` for more than sysctl kernel.perf_event_max_sample_rate.
pub(crate) fn open_clock(cpu: u32, hz: u32) -> io::Result<OwnedFd> {
    const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
    let attr = PerfEventAttr {
        kind: PERF_TYPE_SOFTWARE,
        config: PERF_COUNT_SW_CPU_CLOCK,
        sample_freq: hz.into(),
        flags: PERF_ATTR_EXCLUDE_IDLE | PERF_ATTR_FREQ,
        ..Default::default()
    };
    perf_event_open(attr, ANY_PROCESS, cpu as libc::c_int)
}

/// Opens the event of a new kprobe (a function, at its start) or uprobe (a file, at a place in it), by the kind that the
/// kernel has for those, and with its bits for them. A uprobe may be one of a process alone, which spares all others the trap.
///
/// # Errors
/// What the kernel said.
pub(crate) fn open_probe(kind: u32, config: u64, name: &CStr, offset: u64, pid: Option<u32>) -> io::Result<OwnedFd> {
    let attr = PerfEventAttr { kind, config, config1: name.as_ptr() as u64, config2: offset, ..Default::default() };
    match pid {
        Some(pid) => perf_event_open(attr, pid as libc::pid_t, ANY_CPU),
        None => perf_event_open(attr, ANY_PROCESS, 0),
    }
}

/// The part of `union bpf_attr` for links of perf events.
#[repr(C)]
struct PerfLink {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    cookie: u64,
}

/// Has a program run at an event, and gives it a cookie (5.15). It does as long as the link is open.
///
/// # Errors
/// What the kernel said.
pub(crate) fn link_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>, cookie: u64) -> io::Result<OwnedFd> {
    const BPF_PERF_EVENT: u32 = 41;
    let mut attr = PerfLink {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: event.as_raw_fd() as u32,
        attach_type: BPF_PERF_EVENT,
        flags: 0,
        cookie,
    };
    let fd = bpf(BPF_LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The start of the part of `union bpf_attr` for programs.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

const BPF_TRACE_KPROBE_MULTI: u32 = 42;

/// Loads a program for [`link_functions`]. Kernels before 5.18 may take it, and refuse the link.
///
/// # Errors
/// What the kernel said.
pub(crate) fn load_for_functions(name: &str, instructions: &[bpf_insn], license: &CStr) -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_TYPE_KPROBE: u32 = 2;
    let mut attr = Load {
        prog_type: BPF_PROG_TYPE_KPROBE,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        expected_attach_type: BPF_TRACE_KPROBE_MULTI,
        ..Load::default()
    };
    // The last byte stays zero.
    let shown = attr.prog_name.len() - 1;
    for (to, from) in attr.prog_name[..shown].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    let fd = bpf(BPF_PROG_LOAD, &mut attr)?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A function of the kernel, and the cookie that a program gets there.
pub(crate) struct Function {
    pub(crate) name: CString,
    /// Zero if it is not told.
    pub(crate) address: u64,
    pub(crate) cookie: u64,
}

/// The part of `union bpf_attr` for links of kprobe.multi.
#[repr(C)]
struct MultiLink {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    multi_flags: u32,
    count: u32,
    names: u64,
    addresses: u64,
    cookies: u64,
}

/// Has a program run at the beginning of functions of the kernel (kprobe.multi), of all or of none.
///
/// # Errors
/// What the kernel said; `EINVAL` or `EOPNOTSUPP` where it has no such links.
pub(crate) fn link_functions(program: BorrowedFd<'_>, functions: &[Function]) -> io::Result<OwnedFd> {
    // By their names the kernel goes through all symbols that it has.
    let has_addresses = functions.iter().all(|function| function.address != 0);
    let addresses: Vec<_> = functions.iter().map(|function| function.address).collect();
    let names: Vec<_> = functions.iter().map(|function| function.name.as_ptr()).collect();
    let cookies: Vec<_> = functions.iter().map(|function| function.cookie).collect();
    let mut attr = MultiLink {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: BPF_TRACE_KPROBE_MULTI,
        flags: 0,
        multi_flags: 0,
        count: functions.len() as u32,
        names: if has_addresses { 0 } else { names.as_ptr() as u64 },
        addresses: if has_addresses { addresses.as_ptr() as u64 } else { 0 },
        cookies: cookies.as_ptr() as u64,
    };
    let fd = bpf(BPF_LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// How often the kernel did not come to a program of a link of kprobe.multi; `None` before 6.7.
pub(crate) fn link_misses(link: BorrowedFd<'_>) -> Option<u64> {
    // struct bpf_link_info, kprobe_multi: type, id, program, then addrs, count and flags, missed.
    const MISSED: usize = 4;
    let mut about: LinkInfo = blank();
    let known = info(link, &mut about).ok()?;
    (known >= (MISSED + 1) * size_of::<u64>()).then(|| about[MISSED])
}

/// Has a program run at an event as long as that is open.
///
/// # Errors
/// What the kernel said.
pub(crate) fn set_program(program: BorrowedFd<'_>, event: BorrowedFd<'_>) -> io::Result<()> {
    // _IOW('$', 8, u32)
    const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
    // SAFETY: it takes a number.
    let done = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens an event that programs write to, as a perf buffer has one for each CPU, and closes it.
///
/// # Errors
/// What the kernel said; `EACCES` where it leaves such events to others.
pub(crate) fn open_perf_event() -> io::Result<()> {
    const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
    let attr = PerfEventAttr { kind: PERF_TYPE_SOFTWARE, config: PERF_COUNT_SW_BPF_OUTPUT, ..Default::default() };
    perf_event_open(attr, ANY_PROCESS, 0).map(drop)
}
