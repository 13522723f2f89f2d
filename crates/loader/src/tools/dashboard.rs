//! `dashboard`: opened files, executed programs and processes that end, as one stream.

use ebpflab_common::event::Kind;

use super::{
    EventOptions, Needs, buffer_size,
    events::{self, Opened},
    exec, open,
    ring::RingSource,
};
use crate::{error::Result, hooks, objects, privilege, session::Session};

/// Bytes of the ring buffer unless the user asks for another number.
const BUFFER: u64 = 4 << 20;

pub(super) fn needs() -> Needs {
    Needs {
        tool: "dashboard",
        operation: "tracing opens, execs and exits",
        capabilities: privilege::TRACING,
        object: objects::DASHBOARD,
        prepare: || open_object(&EventOptions::default()).map(drop),
        ways: vec![("opens", open::ways()), ("execs", exec::ways(false, true))],
    }
}

/// Attaches and starts.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where no hook works, `Privilege`.
pub fn attach(options: &EventOptions) -> Result<Session> {
    let (mut opened, buffer) = open_object(options)?;
    let opens = hooks::attach(&mut opened.object, "dashboard", &open::ways(), options.hook)?;
    let hooked = opens.and(hooks::attach(&mut opened.object, "dashboard", &exec::ways(false, true), None)?);
    let activity = RingSource::new(&mut opened.object, &[Kind::Open, Kind::Exec, Kind::Exit])?;
    opened.start("dashboard", hooked, Box::new(activity), buffer.into())
}

/// What is opened, and the size of its buffer.
fn open_object(options: &EventOptions) -> Result<(Opened, u32)> {
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), open::LARGEST.max(exec::LARGEST))?;
    let opened = events::open(&needs(), &options.only, |opener| {
        exec::prepared(opener, false, true).max_entries("EVENTS", buffer)
    })?;
    Ok((opened, buffer))
}
