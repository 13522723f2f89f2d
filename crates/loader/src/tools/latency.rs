//! `latency`: how long calls of a function take, as a histogram.

use ebpflab_common::latency::Frame;

use super::{
    Needs, TimeOptions, attached, now,
    pairs::Programs,
    times::{self, Durations},
};
use crate::{
    bpf::Object,
    error::Result,
    hooks, objects, privilege,
    records::{LatencyReading, Reading},
    session::{Counter, Session, Tool},
    targets::Spec,
};

const PROGRAMS: Programs = Programs {
    trampoline: ["latency_fentry", "latency_fexit"],
    kprobe: ["latency_kprobe", "latency_kret"],
    uprobe: ["latency_uprobe", "latency_uret"],
};

pub(super) fn needs() -> Needs {
    Needs {
        tool: "latency",
        operation: "measuring calls",
        capabilities: privilege::TRACING,
        object: objects::LATENCY,
        prepare: || times::open(&needs(), &TimeOptions::default(), |opener, _| opener).map(drop),
        ways: vec![("calls", PROGRAMS.any_ways())],
    }
}

/// Attaches and starts measuring.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument` for what there is not, or what does not return, `NotSupported` where no
/// hook works, `Privilege`.
pub fn attach(target: &Spec, options: &TimeOptions) -> Result<Session> {
    options.check()?;
    needs().check_privileges()?;
    let function = PROGRAMS.function(target, options.only.pid)?;
    let mut opened = times::open(&needs(), options, |opener, _| opener)?;
    let mut hooked = hooks::attach(&mut opened.object, "latency", &function.ways, function.asked)?;
    let (object, durations) = opened.follow(options, &mut hooked.hooks)?;
    Session::start(
        object,
        Tool::Counter(Box::new(Latency { target: target.to_string(), durations })),
        attached("latency", hooked),
    )
}

struct Latency {
    target: String,
    durations: Durations,
}

impl Counter for Latency {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let counts = self.durations.read(object)?;
        Ok(Reading::Latency(LatencyReading { time: now(), target: self.target.clone(), counts }))
    }

    fn pending(&self, object: &Object) -> Result<u64> {
        Ok(object.hash_map::<Frame, u64>("CALLS")?.len() as u64)
    }
}
