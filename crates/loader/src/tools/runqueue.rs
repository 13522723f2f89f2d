//! `runqueue`: how long tasks wait for a CPU, as a histogram.

use super::{
    Needs, TimeOptions, attached, now,
    times::{self, Durations, Opened},
};
use crate::{
    bpf::{Object, Target},
    error::Result,
    hooks::{self, Kind, Way},
    objects, privilege,
    records::{Reading, RunqueueReading},
    session::{Counter, Session, Tool},
};

pub(super) fn needs() -> Needs {
    Needs {
        tool: "runqueue",
        operation: "measuring waits for a CPU",
        capabilities: privilege::TRACING,
        object: objects::RUNQUEUE,
        prepare: || open(&TimeOptions::default()).map(drop),
        ways: vec![("waits", ways())],
    }
}

/// The end of a wait first: what began before all are there is not seen.
fn ways() -> Vec<Way> {
    let target = |name: &'static str| Target::RawTracepoint(name.into());
    let programs = vec![
        ("runqueue_switch", target("sched_switch")),
        ("runqueue_wakeup", target("sched_wakeup")),
        ("runqueue_new", target("sched_wakeup_new")),
    ];
    vec![Way { kind: Kind::RawTracepoint, programs, tails: Vec::new(), blind_to: &[] }]
}

fn open(options: &TimeOptions) -> Result<Opened> {
    times::open(&needs(), options, |opener, keep| opener.global("CGROUP_ID", keep.v2_cgroup_id()))
}

/// Attaches and starts measuring.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `NotSupported` where the hook does not work, `Privilege`.
pub fn attach(options: &TimeOptions) -> Result<Session> {
    options.check()?;
    let mut opened = open(options)?;
    let mut hooked = hooks::attach(&mut opened.object, "runqueue", &ways(), None)?;
    let (object, durations) = opened.follow(options, &mut hooked.hooks)?;
    Session::start(object, Tool::Counter(Box::new(Runqueue(durations))), attached("runqueue", hooked))
}

struct Runqueue(Durations);

impl Counter for Runqueue {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let counts = self.0.read(object)?;
        Ok(Reading::Runqueue(RunqueueReading { time: now(), counts }))
    }

    fn pending(&self, object: &Object) -> Result<u64> {
        Ok(object.hash_map::<u64, u64>("WAITS")?.len() as u64)
    }
}
