//! Capabilities: what this process has, and what it would need.

mod fix;

use std::{fs, io};

use caps::{CapSet, CapsHashSet, errors::CapsError};
use nix::sys::prctl;

use crate::error::{Error, Result};

/// A capability by the number it has in include/uapi/linux/capability.h.
pub(crate) type Capability = (&'static str, u32);

pub(crate) const CAP_NET_ADMIN: Capability = ("CAP_NET_ADMIN", 12);
pub(crate) const CAP_SYS_PTRACE: Capability = ("CAP_SYS_PTRACE", 19);
pub(crate) const CAP_SYS_ADMIN: Capability = ("CAP_SYS_ADMIN", 21);
pub(crate) const CAP_SYS_RESOURCE: Capability = ("CAP_SYS_RESOURCE", 24);
pub(crate) const CAP_PERFMON: Capability = ("CAP_PERFMON", 38);
pub(crate) const CAP_BPF: Capability = ("CAP_BPF", 39);

/// What tracing tools need (5.8 and later): to load programs and make maps, and to read kernel memory.
pub(crate) const TRACING: &[Capability] = &[CAP_BPF, CAP_PERFMON];
/// What programs on packets need; CAP_PERFMON because they compute with packet pointers.
pub(crate) const NETWORK: &[Capability] = &[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN];

/// Checks that the process holds the capabilities, before anything is tried.
///
/// # Errors
/// [`Error::Privilege`] names those that are missing, [`Error::NotSupported`] is for kernels before 5.8.
pub(crate) fn require(operation: &str, needed: &[Capability]) -> Result<()> {
    if is_too_old() {
        return Err(Error::NotSupported {
            feature: operation.to_owned(),
            needs: "Linux 5.8 or later".to_owned(),
            reason: "this kernel is older, it has no CAP_BPF".to_owned(),
        });
    }
    let missing = lacking(needed);
    if missing.is_empty() {
        return Ok(());
    }
    let fix = fix::fix(&missing);
    let missing = missing.into_iter().map(|(name, _)| name).collect();
    Err(Error::Privilege { operation: operation.to_owned(), missing, fix })
}

fn lacking(needed: &[Capability]) -> Vec<Capability> {
    needed.iter().filter(|capability| !holds(**capability)).copied().collect()
}

/// How this process can have those of the capabilities that it lacks.
pub(crate) fn fix(needed: &[Capability]) -> String {
    fix::fix(&lacking(needed))
}

/// Whether this thread has a capability in effect.
pub(crate) fn holds(capability: Capability) -> bool {
    // CAP_SYS_ADMIN stands for these in the kernel's own checks (bpf_capable, perfmon_capable, bpf_net_capable).
    let stands_in = if NETWORK.contains(&capability) { 1 << CAP_SYS_ADMIN.1 } else { 0 };
    effective() & (1 << capability.1 | stands_in) != 0
}

/// Whether the kernel is one from before 5.8, which brought CAP_BPF, ring buffers and a boot clock for programs.
pub(crate) fn is_too_old() -> bool {
    let last: Option<u32> =
        fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok().and_then(|text| text.trim().parse().ok());
    last.is_some_and(|last| last < CAP_BPF.1)
}

/// Gives up for good all capabilities of this thread but those that are `kept`, and CAP_BPF where `works` does not hold
/// without it. Programs that it executes get none back.
///
/// # Errors
/// [`Error::Os`] where the kernel refuses, [`Error::InvalidArgument`] for a name that is none.
pub(crate) fn give_up(kept: &[&str], works: impl FnOnce() -> bool) -> Result<()> {
    let refused = |error: CapsError| Error::os("give up capabilities")(io::Error::other(error));
    let named =
        |name: &&str| name.parse::<caps::Capability>().map_err(|error| Error::InvalidArgument(error.to_string()));
    let mut kept = kept.iter().map(named).collect::<Result<CapsHashSet>>()?;
    let held = caps::read(None, CapSet::Permitted).map_err(refused)?;
    kept.retain(|capability| held.contains(capability));
    caps::set(None, CapSet::Effective, &kept).map_err(refused)?;
    if !works() && held.contains(&caps::Capability::CAP_BPF) {
        kept.insert(caps::Capability::CAP_BPF);
        caps::set(None, CapSet::Effective, &kept).map_err(refused)?;
    }
    caps::set(None, CapSet::Permitted, &kept).map_err(refused)?;
    // The ambient ones go with these.
    caps::clear(None, CapSet::Inheritable).map_err(refused)?;
    prctl::set_no_new_privs().map_err(Error::os("PR_SET_NO_NEW_PRIVS"))
}

/// Gives up all capabilities of this thread, which is one of our own. Where the kernel refuses that, it goes on with them.
pub(crate) fn give_up_all() {
    let _ = give_up(&[], || true);
}

/// What else may be in the way.
pub(crate) const POLICY: &str = "a kernel that is not locked down (see /sys/kernel/security/lockdown), outside of a user \
                                 namespace and of a seccomp filter that forbids bpf(2)";

/// The kernel said EPERM although [`require`] found nothing missing.
pub(crate) fn refused(operation: &str) -> Error {
    Error::NotSupported {
        feature: operation.to_owned(),
        needs: POLICY.to_owned(),
        reason: "the kernel refuses it (EPERM) although no capability is missing".to_owned(),
    }
}

/// The kernel forbids perf events (kprobes, tracepoints and perf buffers are such) although [`require`] found nothing
/// missing. Debian and others let only CAP_SYS_ADMIN use them where the sysctl is above 2.
pub(crate) fn perf_refused(operation: &str) -> Error {
    match perf_event_paranoid() {
        Some(level) if level > MOST_PARANOID && !holds(CAP_SYS_ADMIN) => Error::NotSupported {
            feature: operation.to_owned(),
            needs: format!("sysctl kernel.perf_event_paranoid={MOST_PARANOID}, or root"),
            reason: format!("kernel.perf_event_paranoid is {level}, which leaves perf events to CAP_SYS_ADMIN"),
        },
        _ => refused(operation),
    }
}

/// The same for uprobes, which kernels leave to CAP_SYS_ADMIN (`perf_uprobe_event_init`, kernel/events/core.c).
pub(crate) fn uprobe_refused(operation: &str) -> Error {
    match holds(CAP_SYS_ADMIN) {
        true => refused(operation),
        false => Error::NotSupported {
            feature: operation.to_owned(),
            needs: format!("CAP_SYS_ADMIN; {}", fix(&[CAP_SYS_ADMIN])),
            reason: "the kernel leaves uprobes to that capability".to_owned(),
        },
    }
}

/// The highest level that the kernel itself knows (kernel/events/core.c).
const MOST_PARANOID: i32 = 2;

fn perf_event_paranoid() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// The effective set of this thread; all of it where the kernel does not tell, so that the kernel decides.
fn effective() -> u64 {
    fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| set_of(&status, "CapEff:"))
        .unwrap_or(u64::MAX)
}

/// A set in /proc/PID/status.
fn set_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
