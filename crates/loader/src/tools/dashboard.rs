//! `dashboard`: opened files, executed programs and processes that end, as one stream.

use ebpflab_common::event::Kind;

use super::{EventOptions, Keep, Needs, buffer_size, exec, kernel_release, open, ring::RingSource};
use crate::{
    bpf::{Object, Opener},
    containers::{self, Locator},
    error::Result,
    hooks, objects, privilege,
    records::Attached,
    schema::Optional,
    session::{Session, Tool},
};

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
    let (mut object, buffer, keep, source) = open_object(options)?;
    let opens = hooks::attach(&mut object, "dashboard", &open::ways(), options.hook)?;
    let mut hooked = opens.and(hooks::attach(&mut object, "dashboard", &exec::ways(false, true), None)?);
    let locator = Locator::attach(source, &mut object, &mut hooked.hooks)?;
    keep.follow(&mut object, &mut hooked.hooks)?;
    let activity = RingSource::new(&mut object, &[Kind::Open, Kind::Exec, Kind::Exit])?;
    let attached = Attached {
        command: "dashboard".to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: Some(buffer.into()),
        kernel: kernel_release(),
        mode: Optional(None),
    };
    Session::start(object, Tool::Source(Box::new(activity), Box::new(locator)), attached)
}

/// The object with its maps, the size of its buffer, whose events it keeps, and where their cgroups are.
fn open_object(options: &EventOptions) -> Result<(Object, u32, Keep, containers::Source)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    let source = containers::Source::choose()?;
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), open::LARGEST.max(exec::LARGEST))?;
    let opener = source.opener(keep.opener(Opener::new(objects::DASHBOARD))).max_entries("EVENTS", buffer);
    let mut object = exec::prepared(opener, false, true).open()?;
    keep.fill(&mut object)?;
    Ok((object, buffer, keep, source))
}
