//! `stacks`: from where functions, tracepoints and instructions are come to, or where the CPUs are.

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::Arc,
    time::Duration,
};

use ebpflab_common::{
    stacks::{DEPTH, Key, MORE, NONE},
    who::Who,
};

use super::{
    Keep, Needs, Only, attached,
    by::{self, By, Named, Names},
    calls::{ASKED, FIRST, check, hook_record, label, own_start, told_left_out},
    max_entries, now,
};
use crate::{
    bpf::{self, Object, Opener, Target, Uprobe, probe},
    containers::Source,
    error::{Error, Result},
    hooks::{Hooked, Kind, Way},
    objects, privilege,
    records::{Hook, Reading, StackCount, StackReading},
    session::{Counter, Session, Tool},
    symbols::Symbolizer,
    targets::{self, FunctionHook, Site, Spec},
};

/// What to take the stacks of.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where these are come to; or
    pub targets: Vec<Spec>,
    /// where each CPU is, so many times a second.
    pub sample_hz: Option<u32>,
    /// Whose stacks.
    pub only: Only,
    /// What they are told apart by, beside themselves.
    pub by: Vec<By>,
    /// Most counters; 16,384 unless told.
    pub max_entries: Option<u32>,
}

const CLOCK: &str = "stacks_clock";
const FENTRY: &str = "stacks_fentry";
const KPROBE: &str = "stacks_kprobe";
const RAW_TP: &str = "stacks_raw_tp";
const TP: &str = "stacks_tp";
const UPROBE: &str = "stacks_uprobe";
const INSTR: &str = "stacks_instr";

/// How often there is a look at new stacks while somebody waits: processes that end sooner have no names.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

pub(super) fn needs() -> Needs {
    Needs {
        tool: "stacks",
        operation: "taking stacks",
        capabilities: privilege::TRACING,
        object: objects::STACKS,
        prepare: || open(&Options::default()).map(drop),
        ways: vec![("calls", ways()), ("clocks", vec![way(Kind::PerfEvent, CLOCK, Target::Clock(0, 1))])],
    }
}

fn way(kind: Kind, program: &'static str, target: Target) -> Way {
    Way { kind, programs: vec![(program, target)], tails: Vec::new(), blind_to: &[] }
}

/// An example of each kind of target, for whoever wants to know which of them work.
fn ways() -> Vec<Way> {
    const FUNCTION: &str = "vfs_read";
    let mut ways = vec![
        way(Kind::Fentry, FENTRY, Target::Fentry(FUNCTION.into())),
        way(Kind::Kprobe, KPROBE, Target::Kprobe(FUNCTION.into())),
        way(Kind::RawTracepoint, RAW_TP, Target::RawTracepoint("sys_enter".into())),
        way(Kind::Tracepoint, TP, Target::Tracepoint("sched".into(), "sched_process_exec".into())),
    ];
    ways.extend(own_start().ok().map(|target| way(Kind::Uprobe, UPROBE, target)));
    ways
}

/// Attaches and starts counting.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, [`Error::NotSupported`] where no hook works, [`Error::Privilege`],
/// [`Error::Attach`].
pub fn attach(options: &Options) -> Result<Session> {
    if options.targets.is_empty() == options.sample_hz.is_none() {
        let wrong = "say what to take the stacks of: targets, or the clocks of the CPUs by how often a second";
        return Err(Error::InvalidArgument(wrong.to_owned()));
    }
    needs().check_privileges()?;
    let mut found = Vec::new();
    for spec in &options.targets {
        found.push((spec, targets::resolve(spec, options.only.pid)?));
    }
    let (mut object, keep, source) = open(options)?;
    let mut hooker = Hooker { object: &mut object, pid: options.only.pid, left_out: Vec::new(), hooks: Vec::new() };
    for (spec, sites) in &found {
        hooker.hook_all(spec, sites)?;
    }
    if let Some(hz) = options.sample_hz {
        hooker.hook_clocks(hz)?;
    }
    let Hooker { left_out, mut hooks, .. } = hooker;
    let hooked = hooks.len();
    let names = Names::attach(by::bits(&options.by, 0), source, &mut object, &mut hooks)?;
    keep.follow(&mut object, &mut hooks)?;
    let stacks = Stacks {
        by: by::bits(&options.by, 0),
        names,
        // After its programs are there, since these have names too.
        symbolizer: Symbolizer::new(),
        left_out: told_left_out(&left_out, hooked),
        is_clock: options.sample_hz.is_some(),
        kernel: HashMap::new(),
        user: HashMap::new(),
    };
    Session::start(object, Tool::Counter(Box::new(stacks)), attached("stacks", Hooked { hooks, blind_to: Vec::new() }))
}

/// The object with its maps, whose stacks it counts, and where cgroups are from.
fn open(options: &Options) -> Result<(Object, Keep, Source)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    // Addresses of a process mean nothing without it.
    let by = by::bits(&options.by, 0) | Who::PID;
    let opener = keep.opener(Opener::new(objects::STACKS)).global("BY", by);
    let (opener, source) = Names::opener(max_entries(opener, "COUNTS", options.max_entries)?)?;
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok((object, keep, source))
}

/// Attaches programs to one target after the other.
struct Hooker<'a> {
    object: &'a mut Object,
    /// Of uprobes.
    pid: Option<u32>,
    /// What a wildcard stands for, and cannot be hooked, and why.
    left_out: Vec<(String, String)>,
    hooks: Vec<Hook>,
}

impl Hooker<'_> {
    /// Attaches to all that a target stands for. Of a wildcard some may be left out, but not all.
    fn hook_all(&mut self, spec: &Spec, sites: &[Site]) -> Result<()> {
        let (before, mut first) = (self.hooks.len(), None);
        for site in sites {
            match self.hook(spec, site) {
                Ok(hook) if self.hooks.contains(&hook) => {}
                Ok(hook) => self.hooks.push(hook),
                Err(error) if !spec.is_wildcard() => return Err(error),
                Err(error @ (Error::Attach { .. } | Error::NotSupported { .. } | Error::Verifier { .. })) => {
                    self.left_out.push((label(site), error.to_string()));
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

    fn hook(&mut self, spec: &Spec, site: &Site) -> Result<Hook> {
        let (program, target) = match site {
            Site::Function(name) => return self.hook_function(spec, name),
            Site::RawTracepoint(name) => (RAW_TP, Target::RawTracepoint(name.clone().into())),
            Site::Tracepoint(category, name) => (TP, Target::Tracepoint(category.clone().into(), name.clone().into())),
            Site::User(path, offset, name) => {
                check(Kind::Uprobe)?;
                let (path, name) = (path.clone(), name.clone());
                let target = Target::Uprobe(Uprobe { path, offset: *offset, pid: self.pid, name });
                (if spec.is_function() { UPROBE } else { INSTR }, target)
            }
        };
        match target {
            Target::RawTracepoint(_) => self.object.attach(program, &target)?,
            _ => self.object.attach_event(program, &target, None)?,
        }
        Ok(hook_record(program, &target, FIRST))
    }

    /// By a trampoline, which costs least: but there is one program for it, which takes one function. So wildcards, and all
    /// but the first function, get kprobes.
    fn hook_function(&mut self, spec: &Spec, name: &str) -> Result<Hook> {
        let asked = spec.function_hook();
        let (mut needs, mut passed_over) = (Vec::new(), Vec::new());
        let is_taken = self.hooks.iter().any(|hook| hook.program == FENTRY);
        if asked == Some(FunctionHook::Fentry) || asked.is_none() && !spec.is_wildcard() && !is_taken {
            match self.hook_fentry(name, is_taken) {
                Ok(target) => return Ok(hook_record(FENTRY, &target, if asked.is_some() { ASKED } else { FIRST })),
                Err(Error::NotSupported { needs, reason, .. }) if asked.is_some() => {
                    return Err(Error::NotSupported { feature: "stacks by fentry".to_owned(), needs, reason });
                }
                Err(error) if asked.is_some() => return Err(error),
                Err(Error::NotSupported { needs: need, reason, .. }) => {
                    needs.push(need);
                    passed_over.push(format!("fentry: {reason}"));
                }
                Err(error @ (Error::Attach { .. } | Error::Verifier { .. })) => {
                    passed_over.push(format!("fentry: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        if let Err(Error::NotSupported { needs: need, reason, .. }) = check(Kind::Kprobe) {
            needs.push(need);
            passed_over.push(format!("kprobe: {reason}"));
            return Err(Error::NotSupported {
                feature: asked.map_or_else(
                    || format!("taking stacks of the kernel function {name}"),
                    |_| "stacks by kprobe".to_owned(),
                ),
                needs: format!(
                    "{}. What works here instead: --sample, and raw_tracepoint:, tracepoint: and uprobe: targets",
                    needs.join(", or ")
                ),
                reason: passed_over.join("; "),
            });
        }
        let target = Target::Kprobe(name.to_owned().into());
        self.object.attach_event(KPROBE, &target, None)?;
        let reason = match (asked, passed_over.first()) {
            (Some(_), _) => ASKED,
            (None, None) => FIRST,
            (None, Some(reason)) => reason,
        };
        Ok(hook_record(KPROBE, &target, reason))
    }

    fn hook_fentry(&mut self, name: &str, is_taken: bool) -> Result<Target> {
        if is_taken {
            return Err(Error::NotSupported {
                feature: "stacks of more than one function by fentry".to_owned(),
                needs: "kprobe: for the others".to_owned(),
                reason: "there is one program for it, and a program takes one function".to_owned(),
            });
        }
        let target = Target::Fentry(name.to_owned().into());
        if let Err(error) = self.object.attach(FENTRY, &target) {
            self.object.unload(FENTRY);
            return Err(error);
        }
        Ok(target)
    }

    fn hook_clocks(&mut self, hz: u32) -> Result<()> {
        let most = fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate");
        let most = most.ok().and_then(|most| most.trim().parse().ok()).unwrap_or(u32::MAX);
        if !(1..=most).contains(&hz) {
            let wrong =
                format!("this kernel looks 1 to {most} times a second (sysctl kernel.perf_event_max_sample_rate)");
            return Err(Error::InvalidArgument(format!("{wrong}, not {hz} times")));
        }
        let cpus = bpf::cpus()?;
        // With a link, for which a cookie stands, where the kernel has those: it lists them.
        let cookie = probe::has_cookies().then_some(0);
        cpus.iter().try_for_each(|cpu| self.object.attach_event(CLOCK, &Target::Clock(*cpu, hz), cookie))?;
        let target = format!("the clocks of {} CPUs, {hz} times a second", cpus.len());
        let (program, kind, reason) = (CLOCK.to_owned(), "perf_event".to_owned(), ASKED.to_owned());
        self.hooks.push(Hook { program, kind, target, reason });
        Ok(())
    }
}

type Functions = Arc<[String]>;

struct Stacks {
    by: u32,
    names: Names,
    symbolizer: Symbolizer,
    left_out: Option<String>,
    is_clock: bool,
    /// Stacks in the kernel by their numbers.
    kernel: HashMap<u32, Functions>,
    /// Stacks of processes by these, their numbers, and callers that are not in them.
    user: HashMap<(u32, u32, u64), Functions>,
}

impl Counter for Stacks {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.hash_map::<Key, u64>("COUNTS")?;
        self.learn(object, &entries)?;
        self.names.update();
        let mut counted = HashMap::<(Who, Functions, Functions), u64>::new();
        for (key, count) in entries {
            let pid = if self.by & Who::PID != 0 { key.who.pid } else { 0 };
            let kernel = self.kernel.get(&key.kernel).cloned().unwrap_or_default();
            let user = self.user.get(&user_key(&key)).cloned().unwrap_or_default();
            *counted.entry((Who { pid, ..key.who }, kernel, user)).or_default() += count;
        }
        let mut counts: Vec<_> = counted.into_iter().map(|(stack, count)| self.count(stack, count)).collect();
        counts.sort_by(|one, other| {
            let key = |row: &StackCount| (row.pid, row.cgroup, row.kernel.clone(), row.user.clone());
            other.count.cmp(&one.count).then_with(|| key(one).cmp(&key(other)))
        });
        Ok(Reading::Stacks(StackReading { time: now(), counts }))
    }

    fn tend(&mut self, object: &Object) -> Option<Duration> {
        // What cannot be read now is said when it is asked for.
        let _ = object.hash_map::<Key, u64>("COUNTS").and_then(|entries| self.learn(object, &entries));
        Some(BETWEEN_LOOKS)
    }

    fn warnings(&self) -> Vec<String> {
        let hidden = (!self.symbolizer.knows_kernel()).then(|| {
            "functions of the kernel have no names: their addresses are hidden (sysctl kernel.kptr_restrict)".to_owned()
        });
        let gone = Some(self.symbolizer.gone()).filter(|gone| *gone > 0).map(|gone| {
            format!("{gone} processes ended before it was known what they had mapped: their functions are [unknown]")
        });
        [self.left_out.clone(), hidden, gone].into_iter().flatten().collect()
    }
}

fn user_key(key: &Key) -> (u32, u32, u64) {
    (key.who.pid, key.user, key.caller)
}

impl Stacks {
    /// Gives names to the stacks that are new.
    fn learn(&mut self, object: &Object, entries: &[(Key, u64)]) -> Result<()> {
        let mut looked_at = HashSet::new();
        for (key, _) in entries {
            if key.kernel != NONE && !self.kernel.contains_key(&key.kernel) {
                let mut names = self.symbolizer.kernel(&addresses(object, key.kernel)?);
                if !self.is_clock {
                    leave_out_hook(&mut names);
                }
                self.kernel.insert(key.kernel, names.into());
            }
            if key.user != NONE && !self.user.contains_key(&user_key(key)) {
                let mut addresses = addresses(object, key.user)?;
                let is_deep = addresses.len() == DEPTH;
                if key.caller != 0 && addresses.get(1) != Some(&key.caller) {
                    addresses.insert(addresses.len().min(1), key.caller);
                }
                if looked_at.insert(key.who.pid) {
                    self.symbolizer.look(key.who.pid);
                }
                let mut names = self.symbolizer.user(key.who.pid, &addresses);
                names.extend(is_deep.then(|| TRUNCATED.to_owned()));
                self.user.insert(user_key(key), names.into());
            }
        }
        Ok(())
    }

    fn count(&mut self, (who, kernel, user): (Who, Functions, Functions), count: u64) -> StackCount {
        let Named { pid, comm, cgroup, cgroup_path, container } = self.names.name(&who);
        StackCount { pid, comm, cgroup, cgroup_path, container, kernel: kernel.to_vec(), user: user.to_vec(), count }
    }
}

/// What stands for the outermost functions of a stack that is too deep.
const TRUNCATED: &str = "[truncated]";

/// The addresses of a stack, by its number.
fn addresses(object: &Object, number: u32) -> Result<Vec<u64>> {
    match number & MORE {
        0 => object.stack("STACKS", number),
        _ => object.stack("MORE_STACKS", number & !MORE),
    }
}

/// Leaves out the innermost functions as far as they are those by which the program was called.
fn leave_out_hook(names: &mut Vec<String>) {
    /// More than there ever are.
    const MOST: usize = 12;
    const HOOKS: [&str; 8] = [
        "bpf_prog_",
        "bpf_trampoline_",
        "bpf_trace_run",
        "__bpf_trace_",
        "__traceiter_",
        "trace_call_bpf",
        "perf_trace_",
        "perf_call_bpf_",
    ];
    let is_hook = |name: &String| HOOKS.iter().any(|hook| name.starts_with(hook));
    if let Some(last) = names.iter().take(MOST).rposition(is_hook) {
        names.drain(..=last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_the_hook_are_left_out() {
        let after = |names: &[&str]| {
            let mut names = names.iter().map(|name| (*name).to_owned()).collect();
            leave_out_hook(&mut names);
            names
        };
        assert_eq!(
            after(&["bpf_prog_0a_stacks_fentry", "bpf_trampoline_7", "vfs_read", "ksys_read"]),
            ["vfs_read", "ksys_read"]
        );
        assert_eq!(after(&["[unknown]", "bpf_trace_run2", "__traceiter_sched_switch", "__schedule"]), ["__schedule"]);
        assert_eq!(after(&["vfs_read", "ksys_read"]), ["vfs_read", "ksys_read"]);
        assert!(after(&[]).is_empty());
    }

    #[test]
    fn either_targets_or_clocks_are_asked_for() {
        let both =
            Options { targets: vec!["vfs_read".parse().expect("a target")], sample_hz: Some(99), ..Options::default() };
        for options in [Options::default(), both] {
            assert!(matches!(attach(&options), Err(Error::InvalidArgument(_))));
        }
    }
}
