//! `dashboard`: opened files and executed programs, as one stream.

use ebpflab_common::{
    event::{self, Header, Kind},
    exec::{ARGS_LEN, Exec, FILENAME_LEN},
};

use super::{EventOptions, buffer_size, exec, kernel_release, open, ring::RingSource};
use crate::{
    bpf::Opener,
    error::Result,
    hooks, objects, privilege,
    records::{Attached, Event},
    schema::Optional,
    session::{Session, Tool},
};

/// Bytes of the ring buffer unless the user asks for another number.
const BUFFER: u64 = 4 << 20;

/// Attaches and starts.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where no hook works, `Privilege`.
pub fn attach(options: &EventOptions) -> Result<Session> {
    let filter = options.only.filter()?;
    privilege::require("tracing opens and execs", privilege::TRACING)?;
    let largest = size_of::<Exec>() + FILENAME_LEN + ARGS_LEN;
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), largest)?;
    let opener = Opener::new(objects::DASHBOARD).global("FILTER", filter).max_entries("EVENTS", buffer);
    let mut object = exec::with_offsets(open::with_offsets(opener)).open()?;
    let opens = hooks::attach(&mut object, "dashboard", &open::ways(), options.hook)?;
    let hooked = opens.and(hooks::attach(&mut object, "dashboard", &exec::ways(), None)?);
    let activity = RingSource::new(&mut object, event, true)?;
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

fn event(record: &[u8], clock_offset: u64) -> Option<Event> {
    let (header, _) = event::split::<Header>(record)?;
    let (kind, _) = Kind::ALL.into_iter().find(|(kind, _)| *kind as u16 == header.kind)?;
    match kind {
        Kind::Open => open::event(record, clock_offset).map(Event::Open),
        Kind::Exec => exec::event(record, clock_offset).map(Event::Exec),
    }
}
