//! Packets into a file. A thread of its own takes them out of the buffers, however seldom the counts are read.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use ebpflab_common::{
    ledger,
    xdp::{self, Captured, NO_RULE},
};
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
};

use super::super::{buffer_size, clock_offset};
use crate::{
    bpf::{Object, Perf},
    error::{Error, Result},
    pcapng::{self, Packet},
    privilege,
    records::Ledger,
    rules::Rule,
};

/// Of each CPU.
const BUFFER: u64 = 1 << 20;
/// A sample has 16 bits for its length, and a header.
const MOST_BYTES: u32 = 0xff00;
/// Bytes that are written at once.
const CHUNK: usize = 1 << 16;

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file, which is made anew.
    pub path: PathBuf,
    /// Every so many packets of a CPU; those that are dropped unless told.
    pub every: Option<u32>,
    /// Most bytes of a packet; 65,280 unless told, and never more.
    pub snap_len: Option<u32>,
}

impl Options {
    /// What the programs have to know.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a zero.
    pub(super) fn global(&self) -> Result<xdp::Capture> {
        if self.every == Some(0) || self.snap_len == Some(0) {
            return Err(Error::InvalidArgument("a sample and a packet's length are 1 at the least".to_owned()));
        }
        let what = if self.every.is_some() { xdp::Capture::SAMPLED } else { xdp::Capture::DROPPED };
        Ok(xdp::Capture { what, every: self.every.unwrap_or(1), snap_len: self.snap_len() })
    }

    fn snap_len(&self) -> u32 {
        self.snap_len.unwrap_or(MOST_BYTES).min(MOST_BYTES)
    }
}

/// The thread, and what it shares with whoever reads the counts.
pub(super) struct Capture {
    writer: Arc<Mutex<Writer>>,
    wakeup: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
    /// Bytes of all buffers.
    pub(super) buffer: u64,
}

struct Writer {
    perf: Perf,
    file: File,
    path: PathBuf,
    /// Of what is written whole.
    len: u64,
    rules: HashMap<u32, Rule>,
    clock_offset: u64,
    received: u64,
    written: u64,
    error: Option<io::Error>,
}

impl Capture {
    /// Makes the file, and starts the thread.
    pub(super) fn start(object: &mut Object, iface: &str, options: &Options) -> Result<Self> {
        let name = options.path.display();
        let mut file = File::create(&options.path).map_err(Error::os(format!("make packet file {name}")))?;
        let mut header = Vec::new();
        pcapng::write_header(&mut header, iface, options.snap_len());
        file.write_all(&header).map_err(Error::os(format!("write to packet file {name}")))?;

        let buffer = buffer_size(BUFFER, options.snap_len() as usize)?;
        let perf = object.take_perf("CAPTURED", buffer as usize)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::os("epoll_create1"))?;
        let wakeup = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(Error::os("eventfd"))?);
        let fds = perf.fds();
        let buffer = u64::from(buffer) * fds.len() as u64;
        for fd in fds.into_iter().chain([wakeup.as_fd()]) {
            epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(Error::os("epoll_ctl"))?;
        }
        let writer = Writer {
            perf,
            file,
            path: options.path.clone(),
            len: header.len() as u64,
            rules: HashMap::new(),
            clock_offset: clock_offset()?,
            received: 0,
            written: 0,
            error: None,
        };
        let writer = Arc::new(Mutex::new(writer));
        let thread = {
            let (writer, wakeup) = (Arc::clone(&writer), Arc::clone(&wakeup));
            // Held so long as the thread runs: what epoll watches must not be closed.
            let run = move || {
                // File and buffers are open.
                privilege::give_up_all();
                follow(&epoll, &writer, &wakeup);
            };
            thread::Builder::new().name("ebpflab-pcap".to_owned()).spawn(run).map_err(Error::os("start a thread"))?
        };
        Ok(Self { writer, wakeup, thread: Some(thread), buffer })
    }

    /// Writes what waits, and from then on names these rules.
    pub(super) fn set_rules(&self, rules: HashMap<u32, Rule>) {
        let mut writer = lock(&self.writer);
        writer.drain();
        writer.rules = rules;
    }

    /// Why packets could not be written, if so.
    pub(super) fn error(&self) -> Option<String> {
        let writer = lock(&self.writer);
        let error = writer.error.as_ref()?;
        let lacking = writer.received - writer.written;
        Some(format!("cannot write to {}: {error}; it lacks {lacking} packets", writer.path.display()))
    }

    /// Writes what waits, and tells what became of all of them.
    pub(super) fn read(&self, object: &Object) -> Result<Ledger> {
        let mut writer = lock(&self.writer);
        writer.drain();
        let mut sum = ledger::Ledger::default();
        object.per_cpu_array::<ledger::Ledger>("CAPTURE_LEDGER")?.iter().flatten().for_each(|cpu| sum.add(cpu));
        Ok(Ledger::new(sum, None, 0, writer.received, writer.written))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Neither fails: the counter is not full, and the thread does not panic.
        let _ = self.wakeup.write(1);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A panic of the other side leaves nothing half done: each step stands alone.
fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes packets as they come, until it is woken up.
fn follow(epoll: &Epoll, writer: &Mutex<Writer>, wakeup: &EventFd) {
    let is_woken = || {
        let mut wakeup = [nix::poll::PollFd::new(wakeup.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut wakeup, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    };
    let mut events = [EpollEvent::empty(); 1];
    while !is_woken() {
        // An interrupted wait is a short one.
        let _ = epoll.wait(&mut events, EpollTimeout::NONE);
        lock(writer).drain();
    }
}

impl Writer {
    /// Takes all packets out of the buffers and writes them, in the order of time.
    fn drain(&mut self) {
        let mut packets = Vec::new();
        let mut whole = Vec::new();
        self.perf.drain(|head, tail| {
            whole.clear();
            whole.extend_from_slice(head);
            whole.extend_from_slice(tail);
            packets.extend(parse(&whole).map(|(header, bytes)| (header, bytes.to_vec())));
        });
        packets.sort_by_key(|(header, _)| header.time);
        self.received += packets.len() as u64;
        let (mut chunk, mut count) = (Vec::new(), 0);
        for (header, bytes) in &packets {
            let packet = Packet {
                time: header.time + self.clock_offset,
                size: header.size,
                bytes,
                comment: &self.comment(header),
            };
            pcapng::write_packet(&mut chunk, &packet);
            count += 1;
            if chunk.len() >= CHUNK {
                self.write(&chunk, count);
                chunk.clear();
                count = 0;
            }
        }
        self.write(&chunk, count);
    }

    /// After the first error nothing more: a file must not have a hole.
    fn write(&mut self, chunk: &[u8], packets: u64) {
        if self.error.is_some() {
            return;
        }
        match self.file.write_all(chunk) {
            Ok(()) => {
                self.written += packets;
                self.len += chunk.len() as u64;
            }
            Err(error) => {
                // The half of a packet may be there; where it cannot be cut off readers say so.
                let _ = self.file.set_len(self.len);
                self.error = Some(error);
            }
        }
    }

    fn comment(&self, header: &Captured) -> String {
        let what = if header.verdict.drops == 0 { "passed" } else { "dropped" };
        match self.rules.get(&header.verdict.slot) {
            Some(rule) => format!("{what} by {rule}"),
            None if header.verdict.slot == NO_RULE => format!("{what}, no rule"),
            None => format!("{what} by a rule that is gone"),
        }
    }
}

/// The header and the bytes of a packet; what is behind them is padding.
fn parse(record: &[u8]) -> Option<(Captured, &[u8])> {
    let (header, rest) = record.split_at_checked(size_of::<Captured>())?;
    // SAFETY: as long as the header, which any bytes make.
    let header = unsafe { header.as_ptr().cast::<Captured>().read_unaligned() };
    Some((header, rest.get(..header.captured as usize)?))
}
