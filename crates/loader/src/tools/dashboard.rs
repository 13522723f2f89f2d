//! `dashboard`: opened files and executed programs, as one stream.

use std::os::fd::{AsFd as _, BorrowedFd};

use ebpflab_common::{
    event::{self, Header, Kind},
    exec::{ARGS_LEN, Exec, FILENAME_LEN},
};

use super::{Only, buffer_size, clock_offset, exec, kernel_release, open};
use crate::{
    bpf::{Object, Opener, Ring},
    error::Result,
    hooks, objects, privilege,
    records::{Attached, Event},
    schema::Optional,
    session::{Session, Source, Tool},
};

/// Bytes of the ring buffer unless the user asks for another number.
const BUFFER: u64 = 4 << 20;

/// What to tell.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose opens and execs.
    pub only: Only,
    /// For opens: only this kind of hook.
    pub hook: Option<hooks::Kind>,
    /// Size of the ring buffer in bytes; 4 MiB unless told.
    pub buffer: Option<u64>,
}

/// Attaches and starts.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where no hook works, `Privilege`.
pub fn attach(options: &Options) -> Result<Session> {
    let filter = options.only.filter()?;
    privilege::require("tracing opens and execs", privilege::TRACING)?;
    let largest = size_of::<Exec>() + FILENAME_LEN + ARGS_LEN;
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), largest)?;
    let opener = Opener::new(objects::DASHBOARD).global("FILTER", filter).max_entries("EVENTS", buffer);
    let mut object = exec::with_offsets(open::with_offsets(opener)).open()?;
    let opens = hooks::attach(&mut object, "dashboard", &open::ways(), options.hook)?;
    let hooked = opens.and(hooks::attach(&mut object, "dashboard", &exec::ways(), None)?);
    let activity = Activity { ring: object.take_ring("EVENTS")?, clock_offset: clock_offset()? };
    let attached = Attached {
        command: "dashboard".to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: Some(buffer.into()),
        kernel: kernel_release(),
        mode: Optional(None),
    };
    Session::start(object, Tool::Source(Box::new(activity)), attached)
}

struct Activity {
    ring: Ring,
    /// From the clock of the records to nanoseconds since the epoch.
    clock_offset: u64,
}

impl Source for Activity {
    fn drain(&mut self, most: usize, take: &mut dyn FnMut(Event)) {
        for _ in 0..most {
            match self.ring.next(|record| event(record, self.clock_offset)) {
                Some(Some(event)) => take(event),
                // A record that is no record is missing from `received`, and the ledger says so.
                Some(None) => {}
                None => return,
            }
        }
    }

    fn pending(&self, object: &Object, kind: Kind) -> Result<u64> {
        open::pending(object, kind)
    }

    fn is_mixed(&self) -> bool {
        true
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.ring.as_fd()]
    }
}

fn event(record: &[u8], clock_offset: u64) -> Option<Event> {
    let (header, _) = event::split::<Header>(record)?;
    let (kind, _) = Kind::ALL.into_iter().find(|(kind, _)| *kind as u16 == header.kind)?;
    match kind {
        Kind::Open => open::event(record, clock_offset).map(Event::Open),
        Kind::Exec => exec::event(record, clock_offset).map(Event::Exec),
    }
}
