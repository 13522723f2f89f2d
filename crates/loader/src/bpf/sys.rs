//! The `bpf(2)` commands that aya 0.14 does not wrap.

use std::{
    io,
    mem::offset_of,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use aya::Pod;
use aya_obj::generated::bpf_prog_info;

// enum bpf_cmd, include/uapi/linux/bpf.h
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// Entries asked for in one call.
const CHUNK: usize = 4_096;

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

/// All entries of a hash map with values of fixed size, in chunks (5.6 and later).
///
/// # Errors
/// What the kernel said; `EINVAL` or `ENOTSUPP` (524) where it has no batches for this kind of map.
pub(crate) fn lookup_all<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    let mut chunk = CHUNK;
    let mut position = None;
    loop {
        let mut keys = Vec::<K>::with_capacity(chunk);
        let mut values = Vec::<V>::with_capacity(chunk);
        // A hash map's position is a bucket number.
        let mut next = 0u32;
        let mut attr = Batch {
            in_batch: position.as_ref().map_or(0, |position| std::ptr::from_ref::<u32>(position) as u64),
            out_batch: &raw mut next as u64,
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
        // SAFETY: the kernel wrote `count` keys and values, and `count` fits the capacities.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        entries.extend(keys.into_iter().zip(values));
        if last {
            return Ok(entries);
        }
        position = Some(next);
    }
}

/// The start of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// What the kernel says about a program, and how many bytes of it it knows.
fn program_info(program: BorrowedFd<'_>) -> io::Result<(bpf_prog_info, usize)> {
    // SAFETY: integers and bit fields; all zero is what the kernel asks for.
    let mut info = unsafe { std::mem::zeroed::<bpf_prog_info>() };
    let mut attr = InfoByFd {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of_val(&info) as u32,
        info: &raw mut info as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok((info, attr.info_len as usize))
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

/// `struct perf_event_attr` as it was first (`PERF_ATTR_SIZE_VER0`), include/uapi/linux/perf_event.h.
#[repr(C)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

/// Opens an event that programs write to, as a perf buffer has one for each CPU, and closes it.
///
/// # Errors
/// What the kernel said; `EACCES` where it leaves such events to others.
pub(crate) fn open_perf_event() -> io::Result<()> {
    const PERF_TYPE_SOFTWARE: u32 = 1;
    const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
    const ANY_PROCESS: libc::pid_t = -1;
    const CPU: libc::c_int = 0;
    const NO_GROUP: libc::c_int = -1;
    let size = size_of::<PerfEventAttr>() as u32;
    let attr = PerfEventAttr { kind: PERF_TYPE_SOFTWARE, size, config: PERF_COUNT_SW_BPF_OUTPUT, rest: [0; 6] };
    // SAFETY: `attr` is valid for its size for the whole call.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attr, ANY_PROCESS, CPU, NO_GROUP, PERF_FLAG_FD_CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok(())
}
