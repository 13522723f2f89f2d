//! Which hook a tool takes: each tool lists its ways in the order of preference, the first that this kernel can do
//! is attached, and the record of it says why the earlier ones were not.

use std::{fmt, path::Path, str::FromStr};

use crate::{
    bpf::{Object, Target},
    error::{Error, Result},
    records,
    tracefs::{self, State},
};

/// A kind of hook, by the name that `--hook` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Trampolines at a kernel function's entry and return (5.5).
    Fentry,
    /// A kprobe at a kernel function's entry.
    Kprobe,
    /// A kretprobe at a kernel function's return. Never taken unless asked for: the kernel keeps room for few calls
    /// at a time, and loses the returns of the others.
    Kretprobe,
    /// Raw tracepoints (4.17).
    RawTracepoint,
    /// Tracepoints with a formatted record; their attaching needs tracefs.
    Tracepoint,
    /// On what an interface receives and sends, by bpf_links (6.6).
    Tcx,
    /// The same by filters in a clsact qdisc.
    Clsact,
    /// On what the sockets of a cgroup of v2 receive and send.
    CgroupSkb,
    /// On the sockets that are made and closed in a cgroup of v2.
    CgroupSock,
    /// Breakpoints in programs and libraries.
    Uprobe,
    /// Events of perf, such as the clocks of CPUs.
    PerfEvent,
}

impl Kind {
    /// All kinds with their names.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Fentry, "fentry"),
        (Self::Kprobe, "kprobe"),
        (Self::Kretprobe, "kretprobe"),
        (Self::RawTracepoint, "raw_tracepoint"),
        (Self::Tracepoint, "tracepoint"),
        (Self::Tcx, "tcx"),
        (Self::Clsact, "clsact"),
        (Self::CgroupSkb, "cgroup_skb"),
        (Self::CgroupSock, "cgroup_sock"),
        (Self::Uprobe, "uprobe"),
        (Self::PerfEvent, "perf_event"),
    ];

    /// Whether it is taken without being asked for.
    pub fn is_default(self) -> bool {
        self != Self::Kretprobe
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Error::InvalidArgument(format!("there is no hook {name}; it is one of {}", names.join(", ")))
        })
    }
}

/// One way to attach a tool.
pub struct Way {
    /// Its kind, for `--hook` and for what to check first.
    pub kind: Kind,
    /// Programs and where each of them goes.
    pub programs: Vec<(&'static str, Target)>,
    /// Programs that others go on in: the program array of each, its name, and the target of those that call it.
    pub tails: Vec<(&'static str, &'static str, Target)>,
    /// What this way does not see, as words of the `attached` record.
    pub blind_to: &'static [&'static str],
}

impl Way {
    /// The names of all its programs.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.programs.iter().map(|(program, _)| *program).chain(self.tails.iter().map(|(_, program, _)| *program))
    }
}

/// The tracepoints at the entry of the four calls that open files.
pub const ENTRIES: [&str; 4] = ["sys_enter_open", "sys_enter_creat", "sys_enter_openat", "sys_enter_openat2"];
/// And at their return.
pub const EXITS: [&str; 4] = ["sys_exit_open", "sys_exit_creat", "sys_exit_openat", "sys_exit_openat2"];

/// One program on those of the tracepoints of system calls that this architecture has (arm64 has no open, no creat).
pub fn on_each<const N: usize>(program: &'static str, names: [&'static str; N]) -> Vec<(&'static str, Target)> {
    each(names.map(|name| (program, name)))
}

/// Programs on those of the tracepoints of system calls that this architecture has.
pub fn each<const N: usize>(pairs: [(&'static str, &'static str); N]) -> Vec<(&'static str, Target)> {
    pairs
        .into_iter()
        .filter(|(_, name)| tracefs::event_dir("syscalls", name).is_some())
        .map(|(program, name)| (program, Target::Tracepoint("syscalls".into(), name.into())))
        .collect()
}

/// What was attached.
#[derive(Debug)]
pub struct Hooked {
    /// For the `attached` record.
    pub hooks: Vec<records::Hook>,
    /// For the `attached` record.
    pub blind_to: Vec<String>,
}

impl Hooked {
    /// This and what was attached beside it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.hooks.extend(other.hooks);
        let new = other.blind_to.into_iter().filter(|word| !self.blind_to.contains(word)).collect::<Vec<_>>();
        self.blind_to.extend(new);
        self
    }
}

/// Attaches the first way that works, or the one asked for.
///
/// # Errors
/// [`Error::NotSupported`] names what each way would need. An error that has nothing to do with the choice of a
/// way, such as missing capabilities, is returned at once.
pub fn attach(object: &mut Object, tool: &str, ways: &[Way], asked: Option<Kind>) -> Result<Hooked> {
    let mut passed_over = Vec::new();
    let mut needs = Vec::new();
    for way in ways.iter().filter(|way| asked.map_or(way.kind.is_default(), |kind| kind == way.kind)) {
        match try_way(object, way) {
            Ok(()) => return Ok(hooked(way, asked, &passed_over)),
            Err(Error::NotSupported { needs: need, reason, .. }) => {
                passed_over.push(format!("{}: {reason}", way.kind));
                needs.push(need);
            }
            Err(error @ (Error::Attach { .. } | Error::Verifier { .. })) => {
                passed_over.push(format!("{}: {error}", way.kind));
            }
            Err(error) => return Err(error),
        }
        way.names().for_each(|program| object.unload(program));
    }
    if passed_over.is_empty() {
        let kinds: Vec<_> = ways.iter().map(|way| way.kind.name()).collect();
        passed_over.push(format!("it has no such hook, only {}", kinds.join(", ")));
    }
    let feature = asked.map_or_else(|| tool.to_owned(), |kind| format!("{tool} by {kind}"));
    let needs = if needs.is_empty() { "another hook or kernel".to_owned() } else { needs.join(", or ") };
    Err(Error::NotSupported { feature, needs, reason: passed_over.join("; ") })
}

/// Whether a way works here: programs that do nothing are attached in the place of the tool's own, and taken away.
/// One for each kind of target is enough, since that all tracepoints are there is looked at first.
///
/// # Errors
/// What [`attach`] passes the way over for.
pub(crate) fn probe(probes: &mut Object, way: &Way) -> Result<()> {
    check_lacking(way)?;
    let mut targets: Vec<(&'static str, &Target)> = Vec::new();
    for (_, target) in &way.programs {
        let probe = probe_for(target);
        if targets.iter().all(|(known, _)| *known != probe) {
            targets.push((probe, target));
        }
    }
    let result = targets.iter().try_for_each(|(probe, target)| probes.attach(probe, target));
    targets.iter().for_each(|(probe, _)| probes.unload(probe));
    result
}

/// The program of crates/ebpf/src/probe.rs for a target.
fn probe_for(target: &Target) -> &'static str {
    match target {
        Target::Fentry(_) => "probe_fentry",
        Target::Fexit(_) => "probe_fexit",
        Target::Kprobe(_) => "probe_kprobe",
        Target::Kretprobe(_) => "probe_kretprobe",
        Target::RawTracepoint(_) => "probe_raw_tp",
        Target::Tracepoint(..) => "probe_tp",
        Target::Xdp(..) => "probe_xdp",
        Target::Tcx(_) | Target::Clsact(_) => "probe_tc",
        Target::CgroupSkb(..) => "probe_cgroup",
        Target::CgroupSock(_) => "probe_sock",
        Target::Uprobe(_) => "probe_uprobe",
        Target::Uretprobe(_) => "probe_uretprobe",
        Target::Clock(..) => "probe_perf",
    }
}

/// What the kernel would need, and why it cannot do it, where a look is enough to know. `None`: try it.
fn lacking(way: &Way) -> Option<(String, String)> {
    let told = |needs: &str, reason: &str| Some((needs.to_owned(), reason.to_owned()));
    match way.kind {
        Kind::Kprobe | Kind::Kretprobe if !Path::new("/sys/bus/event_source/devices/kprobe/type").exists() => {
            told("a kernel built with CONFIG_KPROBE_EVENTS", "this kernel is built without kprobes")
        }
        Kind::Uprobe if !Path::new("/sys/bus/event_source/devices/uprobe/type").exists() => {
            told("a kernel built with CONFIG_UPROBE_EVENTS", "this kernel is built without uprobes")
        }
        Kind::Tracepoint if !has_tracepoints(way) => match tracefs::state() {
            State::Readable => {
                told("CONFIG_FTRACE_SYSCALLS, for tracepoints of system calls", "tracefs does not have its tracepoints")
            }
            state => told(state.fix(), state.reason()),
        },
        _ => None,
    }
}

/// Whether tracefs shows all tracepoints of a way, and there are any.
fn has_tracepoints(way: &Way) -> bool {
    let shown = |target: &Target| match target {
        Target::Tracepoint(category, name) => tracefs::event_dir(category, name).is_some(),
        _ => true,
    };
    !way.programs.is_empty() && way.programs.iter().all(|(_, target)| shown(target))
}

/// Looks whether it is known that a way does not work here.
///
/// # Errors
/// [`Error::NotSupported`] says why not.
pub(crate) fn check_lacking(way: &Way) -> Result<()> {
    lacking(way)
        .map_or(Ok(()), |(needs, reason)| Err(Error::NotSupported { feature: way.kind.to_string(), needs, reason }))
}

fn try_way(object: &mut Object, way: &Way) -> Result<()> {
    check_lacking(way)?;
    way.programs.iter().try_for_each(|(program, target)| object.attach(program, target))?;
    way.tails.iter().try_for_each(|(map, program, target)| object.put(map, 0, program, target))
}

fn hooked(way: &Way, asked: Option<Kind>, passed_over: &[String]) -> Hooked {
    let reason = match (asked, passed_over) {
        (Some(_), _) => "asked for".to_owned(),
        (None, []) => "first choice".to_owned(),
        (None, reasons) => reasons.join("; "),
    };
    let hooks = way
        .programs
        .iter()
        .map(|(program, target)| records::Hook {
            program: (*program).to_owned(),
            kind: target.kind().to_owned(),
            target: target.to_string(),
            reason: reason.clone(),
        })
        .collect();
    Hooked { hooks, blind_to: way.blind_to.iter().map(|word| (*word).to_owned()).collect() }
}
