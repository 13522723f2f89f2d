//! What each tool will do here, and whether each kind of hook works.

use ebpflab_common::flows::Direction;

use super::{no, yes};
use crate::{
    bpf::{self, Object, Opener, Target, Tc, Uprobe},
    error::{Error, Result},
    hooks::{self, Kind, Way},
    objects,
    privilege::{self, NETWORK, TRACING},
    records::{Feature, HookVerdict, Verdict},
    tools::{Needs, calls, cgroup, needs},
};

/// The tools that there are verdicts on.
pub const TOOLS: [&str; 15] = [
    "calls",
    "cgroup",
    "count",
    "dashboard",
    "exec",
    "flows",
    "latency",
    "open",
    "returns",
    "runqueue",
    "stacks",
    "syscalls",
    "trace",
    "traffic",
    "xdp",
];

/// What a tool will do here, and why. Its maps are made and taken away; in the place of its programs others that do
/// nothing are attached for a moment.
///
/// # Errors
/// [`Error::InvalidArgument`] for a tool that there is not.
pub fn verdict(tool: &str) -> Result<Verdict> {
    let needs = needs()
        .into_iter()
        .find(|needs| needs.tool == tool)
        .ok_or_else(|| Error::InvalidArgument(format!("there is no tool {tool}; there are {}", TOOLS.join(", "))))?;
    Ok(match ready(&needs) {
        Ok(mut probes) => of_hooks(&needs, &mut probes),
        Err(error) => {
            let hooks = needs.ways.iter().flat_map(|(part, ways)| ways.iter().map(move |way| untried(part, way)));
            let (reason, fix) = told(&error);
            Verdict { tool: tool.to_owned(), works: false, reason: Some(reason), fix, hooks: hooks.collect() }
        }
    })
}

/// All that a tool needs but its hooks, and the programs to try those with.
fn ready(needs: &Needs) -> Result<Object> {
    needs.check_privileges()?;
    (needs.prepare)()?;
    Opener::new(objects::PROBE).open()
}

/// A tool works if each of its parts has a hook.
fn of_hooks(needs: &Needs, probes: &mut Object) -> Verdict {
    let mut hooks = Vec::new();
    let mut without = Vec::new();
    for (part, ways) in &needs.ways {
        let mut has_hook = false;
        for way in ways {
            let works = hooks::probe(probes, way).and_then(|()| bpf::probe::check_helpers(needs.object, way.names()));
            let taken = works.is_ok() && way.kind.is_default() && !has_hook;
            has_hook |= taken;
            hooks.push(of_hook(part, way, works, taken));
        }
        if !has_hook {
            without.push(*part);
        }
    }
    let works = without.is_empty();
    let reason = (!works).then(|| format!("no hook works for {}", without.join(" and ")));
    let fix = (!works).then(|| "one of the hooks' needs".to_owned());
    Verdict { tool: needs.tool.to_owned(), works, reason, fix, hooks }
}

fn of_hook(part: &str, way: &Way, works: Result<()>, taken: bool) -> HookVerdict {
    let (works, reason, fix) = match works {
        Ok(()) if taken => (true, None, None),
        Ok(()) if !way.kind.is_default() => {
            (true, Some("never taken unless asked for: it loses returns while many calls are blocked".to_owned()), None)
        }
        Ok(()) => (true, Some("one before it works".to_owned()), None),
        Err(error) => {
            let (reason, fix) = told(&error);
            (false, Some(reason), fix)
        }
    };
    HookVerdict { part: part.to_owned(), hook: way.kind.to_string(), works, taken, reason, fix }
}

fn untried(part: &str, way: &Way) -> HookVerdict {
    let reason = Some("not tried, for the reason above".to_owned());
    HookVerdict { part: part.to_owned(), hook: way.kind.to_string(), works: false, taken: false, reason, fix: None }
}

/// Reason and fix of an error.
pub(super) fn told(error: &Error) -> (String, Option<String>) {
    match error {
        Error::NotSupported { reason, needs, .. } => (reason.clone(), Some(needs.clone())),
        Error::Privilege { missing, fix, .. } => (format!("{} missing", missing.join(" and ")), Some(fix.clone())),
        error => (error.to_string(), None),
    }
}

/// Each kind of hook, tried where the tools use it.
pub(super) fn hooks() -> Vec<Feature> {
    let mut probes = match privilege::require("attaching", TRACING).and_then(|()| Opener::new(objects::PROBE).open()) {
        Ok(probes) => probes,
        Err(error) => {
            let (reason, fix) = told(&error);
            let fix = fix.unwrap_or_default();
            return Kind::ALL
                .iter()
                .map(|(_, name)| super::unknown("hook", *name, reason.as_str(), fix.as_str()))
                .collect();
        }
    };
    let function = || "do_sys_openat2".into();
    let loopback = || Tc { iface: "lo".to_owned(), index: 1, direction: Direction::Ingress };
    let targets = [
        (Kind::Fentry, Target::Fentry(function())),
        (Kind::Kprobe, Target::Kprobe(function())),
        (Kind::Kretprobe, Target::Kretprobe(function())),
        (Kind::RawTracepoint, Target::RawTracepoint("sys_enter".into())),
        (Kind::Tracepoint, Target::Tracepoint("sched".into(), "sched_process_exec".into())),
        (Kind::Tcx, Target::Tcx(loopback())),
        (Kind::Clsact, Target::Clsact(loopback())),
        (Kind::CgroupSkb, Target::CgroupSkb(cgroup::top(), Direction::Ingress)),
        (Kind::CgroupSock, Target::CgroupSock(cgroup::top())),
        (Kind::Uprobe, calls::own_start().unwrap_or(Target::Uprobe(Uprobe::default()))),
        (Kind::PerfEvent, Target::Clock(0, 1)),
    ];
    targets
        .into_iter()
        .map(|(kind, target)| {
            let found = format!("a program was attached to {target}");
            let way = Way { kind, programs: vec![("", target)], tails: Vec::new(), blind_to: &[] };
            let needed = if matches!(kind, Kind::Tcx | Kind::Clsact | Kind::CgroupSkb | Kind::CgroupSock) {
                NETWORK
            } else {
                TRACING
            };
            match privilege::require("attaching", needed).and_then(|()| hooks::probe(&mut probes, &way)) {
                Ok(()) => yes("hook", kind.to_string(), found),
                Err(error) => {
                    let (reason, fix) = told(&error);
                    let fix = fix.unwrap_or_else(|| "another hook".to_owned());
                    no("hook", kind.to_string(), reason, "tools take another hook, which they tell", fix)
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_verdict_on_every_tool() {
        assert_eq!(needs().map(|needs| needs.tool), TOOLS);
        assert!(matches!(verdict("strace"), Err(Error::InvalidArgument(_))));
    }
}
