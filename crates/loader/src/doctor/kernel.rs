//! What the kernel has and takes.

use std::{fs, io};

use super::{no, probed, tools::told, unknown, yes};
use crate::{
    bpf::{probe, refused},
    error::Error,
    privilege,
    records::Feature,
    tracefs::{self, State},
};

const GROUP: &str = "kernel";
/// The ring buffer that `open` and `dashboard` have unless told, the largest map of all.
const LARGEST_MAP: usize = 4 << 20;

pub(super) fn features() -> Vec<Feature> {
    vec![age(), btf(), jit(), tracefs(), lockdown(), memory(), perf_events()]
}

fn age() -> Feature {
    const NAME: &str = "Linux 5.8 or later";
    if privilege::is_too_old() {
        return no(GROUP, NAME, "there is no CAP_BPF", "nothing works", "a newer kernel");
    }
    yes(GROUP, NAME, "there is CAP_BPF")
}

fn btf() -> Feature {
    match probe::btf() {
        Ok(()) => yes(GROUP, "BTF", "/sys/kernel/btf/vmlinux describes the kernel's types"),
        Err(Error::NotSupported { reason, needs, .. }) => {
            no(GROUP, "BTF", reason, "nothing but xdp works: fields of the kernel's structs cannot be found", needs)
        }
        Err(error) => unknown(GROUP, "BTF", error.to_string(), "read access to /sys/kernel/btf/vmlinux"),
    }
}

fn jit() -> Feature {
    const PATH: &str = "/proc/sys/net/core/bpf_jit_enable";
    match fs::read_to_string(PATH) {
        Ok(text) if text.trim() == "0" => no(
            GROUP,
            "JIT",
            "programs are interpreted",
            "every event costs several times as much",
            "sysctl net.core.bpf_jit_enable=1",
        ),
        Ok(_) => yes(GROUP, "JIT", "programs are compiled"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => unknown(
            GROUP,
            "JIT",
            format!("there is no {PATH}: a network namespace other than the first, or a kernel without CONFIG_BPF_JIT"),
            "look on the host",
        ),
        Err(error) => unknown(GROUP, "JIT", format!("{PATH}: {error}"), format!("read access to {PATH}")),
    }
}

fn tracefs() -> Feature {
    match tracefs::state() {
        State::Readable => yes(GROUP, "tracefs", State::Readable.reason()),
        state => no(
            GROUP,
            "tracefs",
            state.reason(),
            "no tracepoints: tools take another hook, which they tell",
            state.fix(),
        ),
    }
}

/// `none`, `integrity` or `confidentiality`, the one that holds in brackets (security/lockdown/lockdown.c). Policies
/// of other making show only when they refuse something.
fn lockdown() -> Feature {
    const NAME: &str = "not locked down";
    match fs::read_to_string("/sys/kernel/security/lockdown") {
        Ok(text) if text.contains("[confidentiality]") => no(
            GROUP,
            NAME,
            "lockdown is confidentiality",
            "programs may not read the kernel's memory: open, exec and dashboard do not work",
            "boot with lockdown=integrity or none (Secure Boot may ask for more)",
        ),
        Ok(text) if text.contains("[integrity]") => yes(GROUP, NAME, "lockdown is integrity, which leaves BPF alone"),
        Ok(_) => yes(GROUP, NAME, "lockdown is none"),
        Err(error) => unknown(
            GROUP,
            NAME,
            format!("/sys/kernel/security/lockdown: {error}"),
            "mount -t securityfs securityfs /sys/kernel/security",
        ),
    }
}

fn memory() -> Feature {
    const NAME: &str = "memory for maps";
    match probe::map_of(LARGEST_MAP) {
        Ok(_) => yes(GROUP, NAME, "a map of 4 MiB was made"),
        Err(error) if error.is_refusal && privilege::holds(privilege::CAP_BPF) => {
            let (reason, fix) = told(&refused("making a map of 4 MiB"));
            let costs = "open, exec, count and dashboard cannot make their maps";
            no(GROUP, NAME, reason, costs, fix.unwrap_or_default())
        }
        Err(error) if !privilege::holds(privilege::CAP_BPF) => {
            unknown(GROUP, NAME, error.reason, privilege::fix(privilege::TRACING))
        }
        Err(error) => unknown(GROUP, NAME, error.reason, super::AN_ERROR),
    }
}

fn perf_events() -> Feature {
    const NAME: &str = "perf events";
    match probe::perf_events() {
        Ok(()) => yes(GROUP, NAME, "an event was opened"),
        Err(_) if !privilege::holds(privilege::CAP_PERFMON) => {
            unknown(GROUP, NAME, "CAP_PERFMON is missing", privilege::fix(privilege::TRACING))
        }
        Err(Error::NotSupported { reason, needs, .. }) => {
            no(GROUP, NAME, reason, "no kprobes, no tracepoints, and exec cannot make its buffers", needs)
        }
        Err(error) => no(
            GROUP,
            NAME,
            error.to_string(),
            "no kprobes, no tracepoints, and exec does not work",
            "CONFIG_PERF_EVENTS",
        ),
    }
}

pub(super) fn programs_and_maps() -> Vec<Feature> {
    const NEWER: &str = "a kernel that is newer, built with more of CONFIG_BPF*, or not locked down";
    const TOOLS: &str = "the tools that use it do not work";
    let programs = probe::program_types()
        .into_iter()
        .map(|(name, what, known)| probed("program type", name, known, what, "no such programs", NEWER));
    let maps = probe::map_types()
        .into_iter()
        .map(|(name, known)| probed("map type", name, known, "maps can be made", TOOLS, NEWER));
    let helpers = probe::helpers().into_iter().map(|(name, known)| {
        // Before 5.15 there are other programs for that.
        let costs = if name == "bpf_get_attach_cookie" { "calls takes fewer targets at once" } else { TOOLS };
        probed("helper", name, known, "tracing programs may call it", costs, NEWER)
    });
    programs.chain(maps).chain(helpers).collect()
}
