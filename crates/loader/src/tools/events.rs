//! What tools that tell each event have in common: a buffer, and whom they follow.

use super::{Keep, Needs, Only, attached};
use crate::{
    bpf::{Object, Opener},
    containers::{self, Locator},
    error::Result,
    hooks::{Hooked, Kind},
    records::Attached,
    session::{Session, Source, Tool},
};

/// What such a tool is asked for.
#[derive(Clone, Debug, Default)]
pub struct EventOptions {
    /// Whose events.
    pub only: Only,
    /// Only this kind of hook (for the dashboard: for its opens).
    pub hook: Option<Kind>,
    /// Size of the ring buffer, or of each CPU's perf buffer, in bytes; each tool has its own size unless told.
    pub buffer: Option<u64>,
}

/// The object with its maps, whose events it keeps, and where their cgroups are.
pub(super) struct Opened {
    pub(super) object: Object,
    keep: Keep,
    cgroups: containers::Source,
}

/// `more` sets what only this tool has.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `Privilege`, and what making maps gives.
pub(super) fn open(needs: &Needs, only: &Only, more: impl for<'a> FnOnce(Opener<'a>) -> Opener<'a>) -> Result<Opened> {
    let keep = only.prepare()?;
    needs.check_privileges()?;
    let cgroups = containers::Source::choose()?;
    let mut object = more(cgroups.opener(keep.opener(Opener::new(needs.object)))).open()?;
    keep.fill(&mut object)?;
    Ok(Opened { object, keep, cgroups })
}

impl Opened {
    /// When the tool's own programs are attached: follows cgroups and the tree that is asked for, and starts. `buffer` is
    /// the size in bytes of all that `source` reads.
    ///
    /// # Errors
    /// What attaching gives.
    pub(super) fn start(
        self,
        command: &str,
        mut hooked: Hooked,
        source: Box<dyn Source>,
        buffer: u64,
    ) -> Result<Session> {
        let Self { mut object, keep, cgroups } = self;
        let locator = Locator::attach(cgroups, &mut object, &mut hooked.hooks)?;
        keep.follow(&mut object, &mut hooked.hooks)?;
        let attached = Attached { buffer: Some(buffer), ..attached(command, hooked) };
        Session::start(object, Tool::Source(source, Box::new(locator)), attached)
    }
}
