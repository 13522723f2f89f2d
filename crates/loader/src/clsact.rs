//! Filters of tc by netlink, for kernels without TCX (before 6.6). Nobody owns such a filter: it stays when whoever
//! added it is gone. So a guard process takes the filters away when this process dies, however it dies; `doctor` finds
//! what is left if both are killed at once.
//!
//! Filters need a qdisc, clsact, and an interface has one at most. Whoever is the last to leave a qdisc that ebpflab
//! made removes it: the handles of our filters say who they are of, and whether ebpflab made their qdisc.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use ebpflab_common::flows::Direction;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

use crate::error::{Error, Result};

/// Where this thread's network namespace is; the same file for all in it, so a lock of it is one among them.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

// include/uapi/linux/pkt_sched.h
const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_CLSACT_HANDLE: u32 = 0xffff_0000;
const TC_H_INGRESS: u32 = 0xffff_fff2;
const TC_H_EGRESS: u32 = 0xffff_fff3;

/// The upper byte of the handles of our filters; the lowest bit of it says that ebpflab made the qdisc. The rest is a
/// number that no other filter of ours on that interface has.
const OURS: u32 = 0x3e00_0000;
const MADE: u32 = 0x0100_0000;
const NUMBER: u32 = 0x00ff_ffff;

/// Filters run in the order of their priorities, and of the same priority the newest first.
const FIRST: u16 = 1;
/// The kernel takes one that is free.
const ANY: u16 = 0;

/// The clsact qdisc of an interface as long as we have filters in it. Dropping it takes them away.
pub(crate) struct Clsact {
    socket: OwnedFd,
    namespace: File,
    shared: Shared,
    guard: libc::pid_t,
}

/// What this process and the guard both know.
struct State {
    index: u32,
    /// The handle of our filters, one for each direction; zero where there is none yet.
    handle: AtomicU32,
    /// Their priorities, zero where there is none yet.
    priorities: [AtomicU32; 2],
}

impl Clsact {
    /// Makes the guard, and nothing else yet.
    ///
    /// # Errors
    /// [`Error::Os`] where there is no room for another process.
    pub(crate) fn start(index: u32) -> Result<Self> {
        let namespace = File::open(NAMESPACE).map_err(Error::os(format!("open {NAMESPACE}")))?;
        let socket = connect().map_err(Error::os("open an rtnetlink socket"))?;
        let state = State { index, handle: AtomicU32::new(0), priorities: [const { AtomicU32::new(0) }; 2] };
        let shared = Shared::new(state).map_err(Error::os("map memory"))?;
        let guard = start_guard(socket.as_raw_fd(), namespace.as_raw_fd(), &shared)
            .map_err(Error::os("start a process that takes tc filters away"))?;
        Ok(Self { socket, namespace, shared, guard })
    }

    /// Makes the qdisc if there is none, and calls with handle and priority for a filter, which has to return the
    /// priority that the filter got. Nobody else of ebpflab's adds or removes meanwhile.
    ///
    /// The filter is before all others, so that it sees what those take; unless there are some of another kind with the
    /// same priority.
    ///
    /// # Errors
    /// [`Error::Os`], and what the function returns.
    pub(crate) fn add(&self, direction: Direction, mut filter: impl FnMut(u32, u16) -> Result<u16>) -> Result<()> {
        let _lock = Lock::take(self.namespace.as_raw_fd());
        let state = self.shared.get();
        if state.handle.load(Ordering::Relaxed) == 0 {
            state.handle.store(self.make_qdisc()?, Ordering::Relaxed);
        }
        let handle = state.handle.load(Ordering::Relaxed);
        let priority = filter(handle, FIRST).or_else(|_| filter(handle, ANY))?;
        state.priorities[direction as usize].store(priority.into(), Ordering::Release);
        Ok(())
    }

    /// Makes the qdisc if there is none; returns a handle for filters in it.
    fn make_qdisc(&self) -> Result<u32> {
        let index = self.shared.get().index;
        let made = match exchange(self.socket.as_raw_fd(), &Request::add_qdisc(index), |_| {}) {
            0 => true,
            // Somebody made it before; what ebpflab made has filters of ours in it until it is removed.
            libc::EEXIST => self.handles().any(|handle| handle & !NUMBER == OURS | MADE),
            errno => return Err(Error::os("add a clsact qdisc")(io::Error::from_raw_os_error(errno))),
        };
        let taken: Vec<_> = self.handles().filter(|handle| handle & OURS == OURS).map(|it| it & NUMBER).collect();
        let number = (1..NUMBER).find(|number| !taken.contains(number)).unwrap_or(NUMBER);
        Ok(OURS | if made { MADE } else { 0 } | number)
    }

    /// Whether it is of that interface, and has no filter of that direction.
    pub(crate) fn has_room(&self, index: u32, direction: Direction) -> bool {
        let state = self.shared.get();
        state.index == index && state.priorities[direction as usize].load(Ordering::Relaxed) == 0
    }

    /// Whether it is of that interface, and our filter of that direction is there.
    pub(crate) fn has_filter(&self, index: u32, direction: Direction) -> bool {
        if self.shared.get().index != index {
            return false;
        }
        let handle = self.shared.get().handle.load(Ordering::Relaxed);
        self.handles_of(direction).contains(&handle)
    }

    /// The handles of all filters.
    fn handles(&self) -> impl Iterator<Item = u32> {
        self.handles_of(Direction::Ingress).into_iter().chain(self.handles_of(Direction::Egress))
    }

    fn handles_of(&self, direction: Direction) -> Vec<u32> {
        let mut handles = Vec::new();
        exchange(self.socket.as_raw_fd(), &Request::list(self.shared.get().index, direction), |handle| {
            handles.push(handle);
        });
        handles
    }
}

impl Drop for Clsact {
    fn drop(&mut self) {
        leave(self.socket.as_raw_fd(), self.namespace.as_raw_fd(), self.shared.get());
        // SAFETY: no memory is passed. It is a child of ours that nobody else waits for, so the id is still its own.
        unsafe {
            libc::kill(self.guard, libc::SIGKILL);
            libc::waitpid(self.guard, std::ptr::null_mut(), libc::__WALL);
        }
    }
}

/// Takes our filters away, and the qdisc if ebpflab made it and nobody has filters in it any more. Runs in the guard
/// too, where nothing may be allocated.
fn leave(socket: RawFd, namespace: RawFd, state: &State) {
    let _lock = Lock::take(namespace);
    let handle = state.handle.load(Ordering::Relaxed);
    for direction in [Direction::Ingress, Direction::Egress] {
        let priority = state.priorities[direction as usize].swap(0, Ordering::Acquire);
        if priority != 0 {
            exchange(socket, &Request::delete_filter(state.index, direction, handle, priority), |_| {});
        }
    }
    if handle & MADE != 0 {
        let mut others = 0;
        for direction in [Direction::Ingress, Direction::Egress] {
            exchange(socket, &Request::list(state.index, direction), |_| others += 1);
        }
        if others == 0 {
            exchange(socket, &Request::delete_qdisc(state.index), |_| {});
        }
    }
}

/// Starts a process that waits for this one to die, and then takes the filters away.
///
/// It is no ordinary child: nobody is told when it ends, and `wait(2)` for any child does not see it. Since other
/// threads of this process may hold locks it does nothing but system calls.
fn start_guard(socket: RawFd, namespace: RawFd, shared: &Shared) -> io::Result<libc::pid_t> {
    // SAFETY: no memory is passed; the file descriptor is ours.
    let parent = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd as RawFd)
    };
    let mut before = SigSet::empty();
    // A signal's handler is the parent's: none shall run in the guard.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: as fork(2), but for the signal at its end.
    let guard = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if guard == 0 {
        watch(parent.as_raw_fd(), socket, namespace, shared.get());
    }
    let error = io::Error::last_os_error();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    if guard < 0 { Err(error) } else { Ok(guard as libc::pid_t) }
}

/// The guard.
fn watch(parent: RawFd, socket: RawFd, namespace: RawFd, state: &State) -> ! {
    let mut poll = libc::pollfd { fd: parent, events: libc::POLLIN, revents: 0 };
    // SAFETY: the name and `poll` are valid during their calls. A session of its own: what is sent to the parent's
    // terminal or group is not for the guard.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"ebpflab-guard".as_ptr());
    }
    close_all_but([parent, socket, namespace]);
    loop {
        // SAFETY: as above.
        let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if ready == 1 {
            leave(socket, namespace, state);
            // SAFETY: it ends.
            unsafe { libc::_exit(0) };
        }
    }
}

/// Closes all other file descriptors, so that the guard holds none of the parent's pipes, programs and links.
fn close_all_but(mut keep: [RawFd; 3]) {
    // Not the standard library's sort, which may allocate.
    for index in [0, 1, 0] {
        if keep[index] > keep[index + 1] {
            keep.swap(index, index + 1);
        }
    }
    let mut from = 0;
    for fd in keep {
        close_range(from, fd - 1);
        from = fd + 1;
    }
    close_range(from, RawFd::MAX);
}

fn close_range(from: RawFd, to: RawFd) {
    /// Where the kernel cannot do it at once (before 5.9).
    const MOST: RawFd = 65_536;
    if from > to {
        return;
    }
    // SAFETY: no memory is passed; the guard uses none of these.
    unsafe {
        if libc::syscall(libc::SYS_close_range, from, to, 0) != 0 {
            for fd in from..=to.min(MOST) {
                libc::close(fd);
            }
        }
    }
}

/// A lock among all of ebpflab's in this network namespace; it ends with the process, too.
struct Lock(RawFd);

impl Lock {
    fn take(namespace: RawFd) -> Self {
        // SAFETY: no memory is passed. It fails only if it is interrupted, and is tried again then.
        while unsafe { libc::flock(namespace, libc::LOCK_EX) } != 0 {
            if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                break;
            }
        }
        Self(namespace)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: no memory is passed.
        unsafe { libc::flock(self.0, libc::LOCK_UN) };
    }
}

/// Memory that the guard shares.
struct Shared(NonNull<State>);

// SAFETY: what is behind the pointer is atomic or never changes.
unsafe impl Send for Shared {}
// SAFETY: the same.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(state: State) -> io::Result<Self> {
        // SAFETY: new memory, large enough and aligned to a page.
        unsafe {
            let memory = libc::mmap(
                std::ptr::null_mut(),
                size_of::<State>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if memory == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let memory = memory.cast::<State>();
            memory.write(state);
            Ok(Self(NonNull::new_unchecked(memory)))
        }
    }

    fn get(&self) -> &State {
        // SAFETY: it lives as long as this.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and nobody has a reference any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<State>()) };
    }
}

fn connect() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; the file descriptor is ours.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    Ok(socket)
}

/// `struct nlmsghdr`, `struct tcmsg` and room for one attribute, `TCA_KIND`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Request {
    len: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u32,
    index: u32,
    handle: u32,
    parent: u32,
    info: u32,
    attribute: [u8; 12],
}

impl Request {
    const WITHOUT_ATTRIBUTE: u32 = 36;
    const ACKNOWLEDGED: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;

    fn new(kind: u16, flags: u16, index: u32) -> Self {
        // Answers to other requests, asked by whoever had the socket before, have other numbers.
        static SEQUENCE: AtomicU32 = AtomicU32::new(1);
        Self {
            len: Self::WITHOUT_ATTRIBUTE,
            kind,
            flags,
            sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
            port: 0,
            family: 0,
            index,
            handle: 0,
            parent: 0,
            info: 0,
            attribute: [0; 12],
        }
    }

    fn add_qdisc(index: u32) -> Self {
        // Its length, without padding.
        let [l, e] = 11_u16.to_ne_bytes();
        let [k, i] = libc::TCA_KIND.to_ne_bytes();
        let flags = Self::ACKNOWLEDGED | (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        Self {
            len: size_of::<Self>() as u32,
            handle: TC_H_CLSACT_HANDLE,
            parent: TC_H_CLSACT,
            attribute: [l, e, k, i, b'c', b'l', b's', b'a', b'c', b't', 0, 0],
            ..Self::new(libc::RTM_NEWQDISC, flags, index)
        }
    }

    fn delete_qdisc(index: u32) -> Self {
        let request = Self::new(libc::RTM_DELQDISC, Self::ACKNOWLEDGED, index);
        Self { handle: TC_H_CLSACT_HANDLE, parent: TC_H_CLSACT, ..request }
    }

    fn delete_filter(index: u32, direction: Direction, handle: u32, priority: u32) -> Self {
        let request = Self::new(libc::RTM_DELTFILTER, Self::ACKNOWLEDGED, index);
        let all = u32::from((libc::ETH_P_ALL as u16).to_be());
        Self { handle, parent: parent(direction), info: priority << 16 | all, ..request }
    }

    fn list(index: u32, direction: Direction) -> Self {
        let request = Self::new(libc::RTM_GETTFILTER, (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16, index);
        Self { parent: parent(direction), ..request }
    }
}

fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => TC_H_INGRESS,
        Direction::Egress => TC_H_EGRESS,
    }
}

/// Sends a request and calls with the handle of each filter in the answer; returns the error number, zero for none.
/// Allocates nothing.
fn exchange(socket: RawFd, request: &Request, mut filter: impl FnMut(u32)) -> i32 {
    // SAFETY: the request is valid for its length, which is at most its size.
    let sent = unsafe { libc::send(socket, std::ptr::from_ref(request).cast(), request.len as usize, 0) };
    if sent < 0 {
        return errno();
    }
    let mut buffer = [0_u8; 16_384];
    loop {
        // SAFETY: the buffer is valid for its length.
        let received = unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let Ok(received) = usize::try_from(received) else {
            match errno() {
                libc::EINTR => continue,
                error => return error,
            }
        };
        let mut rest = buffer.get(..received).unwrap_or_default();
        while let Some(message) = Message::parse(rest) {
            rest = rest.get(message.len..).unwrap_or_default();
            if message.sequence != request.sequence {
                continue;
            }
            match i32::from(message.kind) {
                libc::NLMSG_DONE => return 0,
                // The number is negative.
                libc::NLMSG_ERROR => return -(message.first as i32),
                _ => filter(message.handle),
            }
        }
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// What matters of an answer.
struct Message {
    /// To the next one.
    len: usize,
    kind: u16,
    sequence: u32,
    /// The first word after the header: of an error its number.
    first: u32,
    /// Of a filter.
    handle: u32,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
        Some(Self {
            len: (word(0)? as usize).max(16).next_multiple_of(4),
            kind: u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?),
            sequence: word(8)?,
            first: word(16).unwrap_or(0),
            handle: word(24).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_laid_out_as_the_kernel_reads_them() {
        assert_eq!((size_of::<Request>(), std::mem::offset_of!(Request, attribute)), (48, 36));
        let request = Request::delete_filter(7, Direction::Egress, 5, 49_152);
        assert_eq!((request.len, request.parent, request.info), (36, 0xffff_fff3, 0xc000_0300));
        assert_eq!(Request::add_qdisc(7).attribute[..4], [11, 0, 1, 0].map(u8::to_le)[..]);
    }

    #[test]
    fn an_answer_that_is_cut_is_none() {
        assert!(Message::parse(&[0; 11]).is_none());
        let empty = Message::parse(&[0; 16]).expect("a header");
        assert_eq!((empty.len, empty.first, empty.handle), (16, 0, 0));
    }

    #[test]
    fn the_guard_keeps_what_it_needs() {
        let mut pipe = [0; 2];
        // SAFETY: room for two.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        // SAFETY: as fork(2); the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            close_all_but([pipe[1], 1_000_000, 1_000_001]);
            // SAFETY: no memory is passed.
            let is_open = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
            let right = !is_open(0) && !is_open(pipe[0]) && is_open(pipe[1]);
            // SAFETY: it ends.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        let mut status = 0;
        // SAFETY: the status is valid; both descriptors are ours.
        unsafe {
            libc::waitpid(child, &raw mut status, 0);
            drop((OwnedFd::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1])));
        }
        assert_eq!(status, 0);
    }
}
