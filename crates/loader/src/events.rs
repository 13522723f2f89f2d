//! Events between the buffer and whoever asks for them: as the kernel wrote them, one after the other in memory that is
//! used again and again. What is in a record is looked at when it is asked for.

use std::{ops::Range, sync::Arc};

pub use ebpflab_common::event::Kind;
use ebpflab_common::event::{self, Header};

use crate::{
    records::{Container, Event},
    schema::Text,
    tools::{exec, open, trace},
};

/// Where events are from. Many have it in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Where the cgroup is in its hierarchy.
    pub path: Text<'static>,
    /// The container that it is of.
    pub container: Option<Container>,
}

/// An event as the kernel wrote it, and what is known beside it.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    kind: Kind,
    record: &'a [u8],
    place: Option<&'a Arc<Place>>,
    clock_offset: u64,
}

impl<'a> Raw<'a> {
    /// What a record tells, and where its cgroup is; the offset leads from the clock of records to nanoseconds since
    /// the epoch. `None` for a record that is none, or not whole.
    pub fn new(record: &'a [u8], place: Option<&'a Arc<Place>>, clock_offset: u64) -> Option<Self> {
        Some(Self { kind: kind(record)?, record, place, clock_offset })
    }

    /// The event, which borrows all that is longer than a number.
    pub fn event(&self) -> Event<'a> {
        let event = match self.kind {
            Kind::Open => open::event(self).map(Event::Open),
            Kind::Exec => exec::event(self).map(Event::Exec),
            Kind::Exit => exec::exit_event(self).map(Event::Exit),
            Kind::Trace => trace::event(self).map(Event::Trace),
        };
        event.expect("it was looked through when this was made")
    }

    /// A copy that stands alone.
    pub fn to_owned(&self) -> OwnedRaw {
        let Self { kind, record, place, clock_offset } = *self;
        OwnedRaw { kind, record: record.into(), place: place.cloned(), clock_offset }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// When it was written, by the boot clock.
    pub(crate) fn written_at(&self) -> u64 {
        event::split::<Header>(self.record).map_or(0, |(header, _)| header.time)
    }

    /// The record, and maybe more bytes than it has.
    pub(crate) fn record(&self) -> &'a [u8] {
        self.record
    }

    pub(crate) fn place(&self) -> Option<&'a Place> {
        self.place.map(|place| &**place)
    }

    pub(crate) fn clock_offset(&self) -> u64 {
        self.clock_offset
    }
}

/// The same by itself, for whoever keeps it.
#[derive(Clone, Debug)]
pub struct OwnedRaw {
    kind: Kind,
    record: Box<[u8]>,
    place: Option<Arc<Place>>,
    clock_offset: u64,
}

impl OwnedRaw {
    /// What it is a copy of.
    pub fn as_raw(&self) -> Raw<'_> {
        let Self { kind, record, place, clock_offset } = self;
        Raw { kind: *kind, record, place: place.as_ref(), clock_offset: *clock_offset }
    }
}

/// The kind of a record that is whole.
fn kind(record: &[u8]) -> Option<Kind> {
    let (header, _) = event::split::<Header>(record)?;
    let (kind, _) = Kind::ALL.into_iter().find(|(kind, _)| *kind as u16 == header.kind)?;
    let is_whole = match kind {
        Kind::Open => open::is_whole(record),
        Kind::Exec => exec::is_whole(record),
        Kind::Exit => exec::is_whole_exit(record),
        Kind::Trace => trace::is_whole(record),
    };
    is_whole.then_some(kind)
}

/// The id of the cgroup in a record.
fn cgroup(record: &[u8]) -> u64 {
    event::split::<Header>(record).map_or(0, |(header, _)| header.cgroup)
}

/// Events that were taken out of the buffer and not handed on yet.
#[derive(Default)]
pub(crate) struct Backlog {
    clock_offset: u64,
    /// The records.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// How many entries were handed on.
    gone: usize,
}

struct Entry {
    kind: Kind,
    record: Range<usize>,
    place: Option<Arc<Place>>,
}

impl Backlog {
    pub(crate) fn new(clock_offset: u64) -> Self {
        Self { clock_offset, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.gone == self.entries.len()
    }

    /// Forgets all, but keeps the room for it.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.gone = 0;
    }

    /// Takes a record in, of which the end may be elsewhere, and returns its kind; `None` if it is none.
    pub(crate) fn push(&mut self, head: &[u8], tail: &[u8]) -> Option<Kind> {
        if self.is_empty() {
            self.clear();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        let kind = kind(&self.bytes[start..]);
        match kind {
            Some(kind) => self.entries.push(Entry { kind, record: start..self.bytes.len(), place: None }),
            None => self.bytes.truncate(start),
        }
        kind
    }

    /// Says where the last ones are from.
    pub(crate) fn locate(&mut self, count: usize, mut place: impl FnMut(u64) -> Option<Arc<Place>>) {
        let first = self.entries.len().saturating_sub(count);
        for entry in &mut self.entries[first..] {
            entry.place = place(cgroup(&self.bytes[entry.record.clone()]));
        }
    }

    /// Hands on the next one.
    pub(crate) fn pop(&mut self) -> Option<Raw<'_>> {
        let Entry { kind, record, place } = self.entries.get(self.gone)?;
        self.gone += 1;
        let record = &self.bytes[record.clone()];
        Some(Raw { kind: *kind, record, place: place.as_ref(), clock_offset: self.clock_offset })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        alloc::{GlobalAlloc, Layout, System},
        cell::Cell,
    };

    use ebpflab_common::{exec::Exec, exit::Exit, open::Open};

    use super::*;

    thread_local! {
        static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts what this thread asks for.
    struct Counting;

    // SAFETY: the system's, beside a number that needs no memory of its own.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
            // SAFETY: as the caller says.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: as the caller says.
            unsafe { System.dealloc(pointer, layout) };
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
            // SAFETY: as the caller says.
            unsafe { System.realloc(pointer, layout, size) }
        }
    }

    #[global_allocator]
    static COUNTING: Counting = Counting;

    fn bytes<T: Copy>(fixed: &T, rest: &[u8]) -> Vec<u8> {
        // SAFETY: plain integers.
        let fixed = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(fixed).cast::<u8>(), size_of::<T>()) };
        [fixed, rest].concat()
    }

    fn header(kind: Kind) -> Header {
        Header { kind: kind as u16, comm: *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0", ..Header::default() }
    }

    fn records() -> [Vec<u8>; 4] {
        let failed = Open { header: header(Kind::Open), path_len: 4, ret: -2, ..Open::default() };
        let unlinked = Header { marks: Open::UNLINKED, ..header(Kind::Open) };
        let opened = Open { header: unlinked, path_len: 4, full_path_len: 8, inode: 7, flags: 0o102, ..failed };
        let exec = Exec { header: header(Kind::Exec), filename_len: 7, args_len: 6, ..Exec::default() };
        let exit = Exit { header: header(Kind::Exit), ..Exit::default() };
        let opens = [bytes(&failed, b"/tmp"), bytes(&Open { ret: 3, ..opened }, b"/tmp/var/tmp")];
        let [failed, opened] = opens;
        [failed, opened, bytes(&exec, b"/bin/lsls\0-l\0"), bytes(&exit, b"")]
    }

    #[test]
    fn events_allocate_nothing_once_there_is_room() {
        let place = Arc::new(Place { path: Text::from(b"/docker".to_vec()), container: None });
        let (records, mut backlog, mut lines) = (records(), Backlog::new(1_000), Vec::new());
        let mut round = || {
            for record in records.iter().cycle().take(1_000) {
                let (head, tail) = record.split_at(70);
                backlog.push(head, tail).expect("a record");
            }
            backlog.locate(1_000, |_| Some(place.clone()));
            lines.clear();
            let mut handed_on = 0;
            while let Some(raw) = backlog.pop() {
                raw.event().write_json_line(&mut lines);
                handed_on += 1;
            }
            (handed_on, lines.len())
        };
        // The first makes room.
        let first = round();
        let before = ALLOCATIONS.get();
        assert!(before > 0, "what is asked for is counted");
        let second = round();
        assert_eq!(ALLOCATIONS.get() - before, 0);
        assert_eq!((first, first.0), (second, 1_000));
    }

    #[test]
    fn what_waits_is_handed_on_in_order_and_once() {
        let mut backlog = Backlog::new(0);
        let kinds =
            |backlog: &mut Backlog| std::iter::from_fn(|| backlog.pop().map(|raw| raw.kind())).collect::<Vec<_>>();
        for record in records() {
            backlog.push(&record, &[]).expect("a record");
        }
        assert_eq!(backlog.push(b"none", &[]), None);
        assert_eq!(kinds(&mut backlog), [Kind::Open, Kind::Open, Kind::Exec, Kind::Exit]);
        assert!(backlog.is_empty());
        let [_, _, exec, _] = records();
        assert_eq!(backlog.push(&exec, &[]), Some(Kind::Exec));
        backlog.clear();
        assert!(kinds(&mut backlog).is_empty());
    }

    #[test]
    fn a_copy_stands_alone() {
        let place = Arc::new(Place { path: Text::from(b"/a".to_vec()), container: None });
        let copy = {
            let [_, opened, ..] = records();
            Raw::new(&opened, Some(&place), 5).expect("a record").to_owned()
        };
        let Event::Open(event) = copy.as_raw().event() else { panic!("it is an open") };
        assert_eq!((event.time, event.full_path), (5, Some(Text::from(&b"/var/tmp"[..]))));
        assert_eq!(event.cgroup_path, Some(&place.path));
    }
}
