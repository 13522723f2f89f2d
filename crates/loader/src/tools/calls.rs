//! `calls`: how often any functions, tracepoints and instructions of binaries are come to.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::CString,
    path::Path,
    time::Instant,
};

use ebpflab_common::calls::{self as layout, Key, SLOTS, slot};

use super::{
    Keep, Needs, Only, attached,
    by::{self, By, Named, Names},
    max_entries, now,
};
use crate::{
    bpf::{Function, Object, Opener, Target, Uprobe, probe},
    containers::Source,
    elf,
    error::{Error, Result},
    hooks::{self, Hooked, Kind, Way},
    objects, privilege,
    records::{CallCount, CallReading, Hook, Reading},
    session::{Counter, Session, Tool},
    targets::{self, FunctionHook, Site, Spec},
};

/// What to count.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of what.
    pub targets: Vec<Spec>,
    /// Whose calls.
    pub only: Only,
    /// What they are told apart by, beside the target.
    pub by: Vec<By>,
    /// Most counters; 16,384 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "calls",
        operation: "counting calls",
        capabilities: privilege::TRACING,
        object: objects::CALLS,
        prepare: || open(&Options::default()).map(drop),
        ways: vec![("calls", ways())],
    }
}

/// A function that every kernel has.
const KNOWN: &str = "vfs_read";
/// Where cookies of functions that are hooked at once begin; those of others count from 0.
const AT_ONCE: u64 = 1 << 31;

/// An example of each kind of target, for whoever wants to know which of them work.
fn ways() -> Vec<Way> {
    let programs = Programs::choose();
    let way = |kind, program, target| Way { kind, programs: vec![(program, target)], tails: Vec::new(), blind_to: &[] };
    let mut ways = vec![
        way(Kind::Fentry, FENTRY[0], Target::Fentry(KNOWN.into())),
        way(Kind::Kprobe, programs.kprobe(), Target::Kprobe(KNOWN.into())),
        way(Kind::RawTracepoint, RAW_TP[0], Target::RawTracepoint("sys_enter".into())),
        way(Kind::Tracepoint, programs.tp(0), Target::Tracepoint("sched".into(), "sched_process_exec".into())),
    ];
    ways.extend(own_start().ok().map(|target| way(Kind::Uprobe, programs.uprobe(0), target)));
    ways
}

/// The start of this program, for a uprobe that is there for a moment.
pub(crate) fn own_start() -> Result<Target> {
    let path = Path::new("/proc/self/exe");
    let offset = elf::start(path)?;
    let pid = Some(std::process::id());
    Ok(Target::Uprobe(Uprobe { path: path.to_owned(), offset, pid, name: "the start of this program".to_owned() }))
}

/// Attaches and starts counting.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, [`Error::NotSupported`] where no hook works, [`Error::Privilege`],
/// [`Error::Attach`].
pub fn attach(options: &Options) -> Result<Session> {
    if options.targets.is_empty() {
        return Err(Error::InvalidArgument("say what to count the calls of".to_owned()));
    }
    needs().check_privileges()?;
    let mut found = Vec::new();
    for spec in &options.targets {
        found.push((spec, targets::resolve(spec, options.only.pid)?));
    }
    let (mut object, keep, source) = open(options)?;
    let mut hooker = Hooker::new(&mut object, options.only.pid);
    for (spec, sites) in found {
        hooker.hook_all(spec, sites)?;
    }
    let Hooker { labels, slots, addresses, left_out, mut hooks, .. } = hooker;
    let by = by::bits(&options.by, 0);
    let names = Names::attach(by, source, &mut object, &mut hooks)?;
    keep.follow(&mut object, &mut hooks)?;
    let calls = Calls { labels, slots, addresses, left_out, names, last: HashMap::new(), at: Instant::now() };
    Session::start(object, Tool::Counter(Box::new(calls)), attached("calls", Hooked { hooks, blind_to: Vec::new() }))
}

/// The object with its maps, whose calls it counts, and where cgroups are from.
fn open(options: &Options) -> Result<(Object, Keep, Source)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    let opener = keep.opener(Opener::new(objects::CALLS)).global("BY", by::bits(&options.by, 0));
    let (opener, source) = Names::opener(max_entries(opener, "COUNTS", options.max_entries)?)?;
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok((object, keep, source))
}

/// Names of the programs for one target each.
macro_rules! slots {
    ($name:ident, $prefix:literal) => {
        const $name: [&str; SLOTS] = [
            concat!($prefix, 0),
            concat!($prefix, 1),
            concat!($prefix, 2),
            concat!($prefix, 3),
            concat!($prefix, 4),
            concat!($prefix, 5),
            concat!($prefix, 6),
            concat!($prefix, 7),
            concat!($prefix, 8),
            concat!($prefix, 9),
            concat!($prefix, 10),
            concat!($prefix, 11),
            concat!($prefix, 12),
            concat!($prefix, 13),
            concat!($prefix, 14),
            concat!($prefix, 15),
        ];
    };
}
slots!(FENTRY, "calls_fentry_");
slots!(RAW_TP, "calls_raw_tp_");
slots!(TP, "calls_tp_");
slots!(UPROBE, "calls_uprobe_");

/// Which programs there are for what perf events stand for: the kernel tells one program of which of many it was, or
/// there is one for each.
#[derive(Clone, Copy)]
struct Programs {
    has_cookies: bool,
}

impl Programs {
    fn choose() -> Self {
        Self { has_cookies: probe::has_cookies() }
    }

    fn kprobe(self) -> &'static str {
        if self.has_cookies { "calls_kprobe" } else { "calls_kprobe_ip" }
    }

    fn tp(self, number: usize) -> &'static str {
        if self.has_cookies { "calls_tp" } else { TP[number] }
    }

    fn uprobe(self, number: usize) -> &'static str {
        if self.has_cookies { "calls_uprobe" } else { UPROBE[number] }
    }
}

/// Attaches programs to one target after the other, and knows what they call them.
struct Hooker<'a> {
    object: &'a mut Object,
    programs: Programs,
    /// Of uprobes.
    pid: Option<u32>,
    /// Targets by their cookies.
    labels: Vec<String>,
    /// By what programs in slots call them: which of the labels.
    slots: HashMap<u64, usize>,
    /// Functions of the kernel by their addresses, where there are no cookies.
    addresses: BTreeMap<u64, String>,
    used: [usize; 4],
    /// Functions that were to be hooked at once, so far.
    at_once: u64,
    /// What a wildcard stands for, and cannot be hooked, and why.
    left_out: Vec<(String, String)>,
    hooks: Vec<Hook>,
}

impl<'a> Hooker<'a> {
    fn new(object: &'a mut Object, pid: Option<u32>) -> Self {
        Self {
            object,
            programs: Programs::choose(),
            pid,
            labels: Vec::new(),
            slots: HashMap::new(),
            addresses: BTreeMap::new(),
            used: [0; 4],
            at_once: 0,
            left_out: Vec::new(),
            hooks: Vec::new(),
        }
    }

    /// Attaches to all that a target stands for. Of a wildcard some may be left out, but not all.
    fn hook_all(&mut self, spec: &Spec, sites: Vec<Site>) -> Result<()> {
        let is_one = !spec.is_wildcard();
        let (before, mut first) = (self.hooks.len(), None);
        if !self.programs.has_cookies {
            let functions: Vec<_> = sites
                .iter()
                .filter_map(|site| if let Site::Function(name) = site { Some(name.as_str()) } else { None })
                .collect();
            self.addresses.extend(targets::kernel_addresses(&functions));
        }
        if spec.is_wildcard() && spec.function_hook() != Some(FunctionHook::Fentry) {
            self.hook_at_once(spec, &sites)?;
        }
        for site in &sites {
            let label = label(site);
            if self.is_hooked(site, &label) {
                continue;
            }
            match self.hook(spec, site, &label, is_one) {
                Ok(()) => {}
                Err(error) if is_one => return Err(error),
                Err(error @ (Error::Attach { .. } | Error::NotSupported { .. } | Error::Verifier { .. })) => {
                    self.left_out.push((label, error.to_string()));
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match first {
            Some(error) if self.hooks.len() == before => Err(error),
            _ => Ok(()),
        }
    }

    /// Attaches to all functions of a wildcard at once, where the kernel can do that. Those that it does not take so are
    /// left to a kprobe each, which says why.
    fn hook_at_once(&mut self, spec: &Spec, sites: &[Site]) -> Result<()> {
        if !self.programs.has_cookies || check(Kind::Kprobe).is_err() {
            return Ok(());
        }
        let names = sites.iter().filter_map(|site| match site {
            Site::Function(name) if !self.is_hooked(site, name) => Some(name.as_str()),
            _ => None,
        });
        let found = targets::single_functions(&names.collect());
        if found.is_empty() {
            return Ok(());
        }
        let function = |name: &str, address, cookie| {
            let name = CString::new(name).unwrap_or_default();
            Function { name, address, cookie }
        };
        let cookies = AT_ONCE + self.at_once..;
        let functions: Vec<_> =
            found.iter().zip(cookies).map(|((name, address), cookie)| function(name, *address, cookie)).collect();
        let program = self.programs.kprobe();
        let taken = self.object.attach_functions(program, &functions, function(KNOWN, 0, 0))?;
        self.at_once += functions.len() as u64;
        let reason = if spec.function_hook().is_some() { ASKED } else { FIRST };
        for ((function, (name, _)), _) in functions.iter().zip(&found).zip(taken).filter(|(_, is_taken)| *is_taken) {
            self.slots.insert(function.cookie, self.labels.len());
            self.labels.push(name.clone());
            self.hooks.push(Hook {
                program: program.to_owned(),
                kind: "kprobe_multi".to_owned(),
                target: name.clone(),
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }

    /// Two targets may stand for the same. A symbol has one label for all its versions, each of them hooked.
    fn is_hooked(&self, site: &Site, label: &str) -> bool {
        !matches!(site, Site::User(..)) && self.labels.iter().any(|known| known == label)
    }

    fn hook(&mut self, spec: &Spec, site: &Site, label: &str, is_one: bool) -> Result<()> {
        match site {
            Site::Function(name) => self.hook_function(spec.function_hook(), name, label, is_one),
            Site::RawTracepoint(name) => {
                let program = self.take_slot(layout::Kind::RawTracepoint, &RAW_TP, "raw tracepoints", "none yet")?;
                let target = Target::RawTracepoint(name.clone().into());
                self.object.attach(program.0, &target)?;
                self.attached(program, label, &target, FIRST);
                Ok(())
            }
            Site::Tracepoint(category, name) => {
                let target = Target::Tracepoint(category.clone().into(), name.clone().into());
                self.hook_event(layout::Kind::Tracepoint, label, &target)
            }
            Site::User(path, offset, name) => {
                let (path, name) = (path.clone(), name.clone());
                let target = Target::Uprobe(Uprobe { path, offset: *offset, pid: self.pid, name });
                check(Kind::Uprobe)?;
                self.hook_event(layout::Kind::Uprobe, label, &target)
            }
        }
    }

    /// A trampoline costs least, but each takes a program of its own: wildcards get kprobes.
    fn hook_function(&mut self, asked: Option<FunctionHook>, name: &str, label: &str, is_one: bool) -> Result<()> {
        let mut reason = if asked.is_some() { ASKED.to_owned() } else { FIRST.to_owned() };
        let mut needs = String::new();
        if asked == Some(FunctionHook::Fentry) || asked.is_none() && is_one {
            match self.hook_fentry(name, label, &reason) {
                Ok(()) => return Ok(()),
                Err(Error::NotSupported { needs, reason, .. }) if asked.is_some() => {
                    return Err(Error::NotSupported { feature: "calls by fentry".to_owned(), needs, reason });
                }
                Err(error) if asked.is_some() => return Err(error),
                Err(error @ (Error::Attach { .. } | Error::Verifier { .. })) => reason = format!("fentry: {error}"),
                Err(Error::NotSupported { reason: why, needs: need, .. }) => {
                    reason = format!("fentry: {why}");
                    needs = format!("{need}, or ");
                }
                Err(error) => return Err(error),
            }
        }
        match check(Kind::Kprobe) {
            Ok(()) => {}
            Err(Error::NotSupported { reason: why, needs: need, .. }) => {
                let before = if needs.is_empty() { String::new() } else { format!("{reason}; ") };
                return Err(Error::NotSupported {
                    feature: asked.map_or_else(
                        || format!("counting calls of the kernel function {name}"),
                        |_| "calls by kprobe".to_owned(),
                    ),
                    needs: format!(
                        "{needs}{need}. What works here instead: ebpflab syscalls, and calls of raw_tracepoint:, \
                         tracepoint: and uprobe: targets"
                    ),
                    reason: format!("{before}kprobe: {why}"),
                });
            }
            Err(error) => return Err(error),
        }
        let target = Target::Kprobe(name.to_owned().into());
        let program = self.programs.kprobe();
        let cookie = self.programs.has_cookies.then_some(self.labels.len() as u64);
        self.object.attach_event(program, &target, cookie)?;
        self.labels.push(label.to_owned());
        self.hooks.push(hook_record(program, &target, &reason));
        Ok(())
    }

    fn hook_fentry(&mut self, name: &str, label: &str, reason: &str) -> Result<()> {
        let program = self.take_slot(layout::Kind::Fentry, &FENTRY, "trampolines", "kprobes")?;
        let target = Target::Fentry(name.to_owned().into());
        if let Err(error) = self.object.attach(program.0, &target) {
            self.object.unload(program.0);
            self.used[layout::Kind::Fentry as usize] -= 1;
            return Err(error);
        }
        self.attached(program, label, &target, reason);
        Ok(())
    }

    /// A tracepoint or a uprobe.
    fn hook_event(&mut self, kind: layout::Kind, label: &str, target: &Target) -> Result<()> {
        if self.programs.has_cookies {
            let program = if kind == layout::Kind::Tracepoint { "calls_tp" } else { "calls_uprobe" };
            let known = self.labels.iter().position(|known| known == label);
            let index = known.unwrap_or(self.labels.len());
            self.object.attach_event(program, target, Some(index as u64))?;
            if known.is_none() {
                self.labels.push(label.to_owned());
            }
            self.hooks.push(hook_record(program, target, FIRST));
            return Ok(());
        }
        let (names, what) = if kind == layout::Kind::Tracepoint { (&TP, "tracepoints") } else { (&UPROBE, "uprobes") };
        let program = self.take_slot(kind, names, what, "Linux 5.15")?;
        self.object.attach_event(program.0, target, None)?;
        self.attached(program, label, target, FIRST);
        Ok(())
    }

    /// The next program that is for one target only, and what it calls it.
    fn take_slot(
        &mut self,
        kind: layout::Kind,
        names: &[&'static str; SLOTS],
        what: &str,
        needs: &str,
    ) -> Result<(&'static str, u64)> {
        let number = self.used[kind as usize];
        let program = names.get(number).ok_or_else(|| Error::NotSupported {
            feature: format!("more than {SLOTS} {what} at once"),
            needs: needs.to_owned(),
            reason: "each takes a program of its own, since the kernel does not tell a program of which it was"
                .to_owned(),
        })?;
        self.used[kind as usize] += 1;
        Ok((program, slot(kind, number)))
    }

    fn attached(&mut self, (program, slot): (&'static str, u64), label: &str, target: &Target, reason: &str) {
        let known = self.labels.iter().position(|known| known == label);
        self.slots.insert(slot, known.unwrap_or(self.labels.len()));
        if known.is_none() {
            self.labels.push(label.to_owned());
        }
        self.hooks.push(hook_record(program, target, reason));
    }
}

pub(super) const FIRST: &str = "first choice";
pub(super) const ASKED: &str = "asked for";

/// Whether the kernel has a kind of hook at all.
pub(super) fn check(kind: Kind) -> Result<()> {
    hooks::check_lacking(&Way { kind, programs: Vec::new(), tails: Vec::new(), blind_to: &[] })
}

pub(super) fn hook_record(program: &str, target: &Target, reason: &str) -> Hook {
    Hook {
        program: program.to_owned(),
        kind: target.kind().to_owned(),
        target: target.to_string(),
        reason: reason.to_owned(),
    }
}

/// What people call it: a target that means it.
pub(super) fn label(site: &Site) -> String {
    match site {
        Site::Function(name) => name.clone(),
        Site::Tracepoint(category, name) => format!("tracepoint:{category}:{name}"),
        Site::RawTracepoint(name) => format!("raw_tracepoint:{name}"),
        Site::User(_, _, name) => name.clone(),
    }
}

struct Calls {
    labels: Vec<String>,
    slots: HashMap<u64, usize>,
    addresses: BTreeMap<u64, String>,
    left_out: Vec<(String, String)>,
    names: Names,
    /// Calls of each at the last reading, and when that was.
    last: HashMap<Key, u64>,
    at: Instant,
}

impl Counter for Calls {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.hash_map::<Key, u64>("COUNTS")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.names.update();
        let entries = self.merged(entries);
        let mut counts: Vec<_> = entries.into_iter().map(|(key, count)| self.count(&key, count, seconds)).collect();
        counts.sort_by(|one, other| {
            let key = |row: &CallCount| (row.target.clone(), row.pid, row.cgroup);
            other.count.cmp(&one.count).then_with(|| key(one).cmp(&key(other)))
        });
        Ok(Reading::Calls(CallReading { time: now(), counts }))
    }

    fn warnings(&self) -> Vec<String> {
        told_left_out(&self.left_out, self.labels.len()).into_iter().collect()
    }
}

/// What to say about those that a wildcard stands for, and that could not be hooked.
pub(super) fn told_left_out(left_out: &[(String, String)], hooked: usize) -> Option<String> {
    const TOLD: usize = 3;
    if left_out.is_empty() {
        return None;
    }
    let mut told: Vec<_> = left_out.iter().take(TOLD).map(|(label, reason)| format!("{label} ({reason})")).collect();
    if left_out.len() > TOLD {
        told.push(format!("{} more", left_out.len() - TOLD));
    }
    Some(format!("left out {} of {} targets: {}", left_out.len(), left_out.len() + hooked, told.join(", ")))
}

impl Calls {
    /// Versions of one symbol, which have programs of their own where there are no cookies, become one.
    fn merged(&self, entries: Vec<(Key, u64)>) -> HashMap<Key, u64> {
        let mut merged = HashMap::new();
        for (key, count) in entries {
            let target = self.slots.get(&key.target).map_or(key.target, |index| *index as u64);
            *merged.entry(Key { target, ..key }).or_default() += count;
        }
        merged
    }

    fn count(&mut self, key: &Key, count: u64, seconds: f64) -> CallCount {
        let before = self.last.insert(*key, count).unwrap_or(0);
        let target = self.target(key.target);
        let Named { pid, comm, cgroup, cgroup_path, container } = self.names.name(&key.who);
        let rate = (count - before) as f64 / seconds;
        CallCount { target, pid, comm, cgroup, cgroup_path, container, count, rate }
    }

    /// The label of what a program calls its target.
    fn target(&self, target: u64) -> String {
        /// A function that is hooked is longer, or begins so.
        const FARTHEST: u64 = 16;
        let by_address = || {
            let (address, name) = self.addresses.range(..=target).next_back()?;
            (target - address <= FARTHEST).then_some(name)
        };
        let by_cookie = || self.labels.get(usize::try_from(target).ok()?);
        by_cookie().or_else(by_address).cloned().unwrap_or_else(|| format!("{target:#x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        Calls {
            labels: vec!["vfs_read".to_owned(), "libc:malloc".to_owned()],
            slots: HashMap::from([(slot(layout::Kind::Uprobe, 0), 1), (slot(layout::Kind::Uprobe, 1), 1)]),
            addresses: BTreeMap::from([(0xffff_ffff_8100_0010, "vfs_read".to_owned())]),
            left_out: Vec::new(),
            names: Names::nobody(),
            last: HashMap::new(),
            at: Instant::now(),
        }
    }

    #[test]
    fn targets_are_told_by_cookie_or_address() {
        let calls = calls();
        for (target, expected) in [
            (0, "vfs_read"),
            (1, "libc:malloc"),
            (0xffff_ffff_8100_0011, "vfs_read"),
            (0xffff_ffff_8100_0040, "0xffffffff81000040"),
            (0xffff_ffff_8100_000f, "0xffffffff8100000f"),
        ] {
            assert_eq!(calls.target(target), expected);
        }
    }

    #[test]
    fn versions_of_a_symbol_are_one_target() {
        let calls = calls();
        let key = |target| Key { target, ..Key::default() };
        let slots = [0, 1].map(|number| (key(slot(layout::Kind::Uprobe, number)), 3));
        let merged = calls.merged([&slots[..], &[(key(0), 5)]].concat());
        assert_eq!(merged, HashMap::from([(key(1), 6), (key(0), 5)]));
    }

    #[test]
    fn what_was_left_out_is_told_shortly() {
        let mut calls = calls();
        assert!(calls.warnings().is_empty());
        calls.left_out = (0..5).map(|number| (format!("f{number}"), "no".to_owned())).collect();
        assert_eq!(calls.warnings(), ["left out 5 of 7 targets: f0 (no), f1 (no), f2 (no), 2 more"]);
    }

    #[test]
    fn the_programs_are_in_the_object() {
        let names = crate::bpf::program_names(objects::CALLS).expect("an object");
        let ours = [FENTRY, RAW_TP, TP, UPROBE].concat();
        assert!(ours.iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");
    }
}
