//! Programs of ours that nobody runs any more.

use std::{collections::BTreeSet, io, path::Path, thread, time::Duration};

use super::{no, unknown, yes};
use crate::{
    bpf::probe,
    inspect::holders::{Held, Holders},
    objects,
    privilege::{self, CAP_SYS_PTRACE},
    records::Feature,
    tools::{in_initial_pid_namespace, pinned_programs},
};

const GROUP: &str = "leftovers";
const NAME: &str = "nothing left behind";

/// How long the kernel may take to free what was just let go of.
const FREED_AFTER: Duration = Duration::from_millis(300);

pub(super) fn features() -> Vec<Feature> {
    let pins = pinned_programs();
    let pinned: BTreeSet<_> = pins.iter().flat_map(|(ids, _)| ids).copied().collect();
    let look = || -> Result<Look, String> {
        let loaded = probe::loaded_programs().map_err(|error| format!("the kernel does not list programs: {error}"))?;
        Ok((ours(loaded, &pinned), holders()?))
    };
    let feature = look().and_then(|(first, holders)| {
        if first.iter().all(|(id, _)| is_held(*id, &holders)) {
            return Ok(report(&first, &holders));
        }
        // What is left behind is there the second time too.
        thread::sleep(FREED_AFTER);
        let (mut second, holders) = look()?;
        second.retain(|program| first.contains(program));
        Ok(report(&second, &holders))
    });
    let left = feature.unwrap_or_else(|reason| unknown(GROUP, NAME, reason, "run it as root on the host"));
    [left].into_iter().chain(pins.into_iter().map(|(_, iface)| as_asked(iface))).collect()
}

/// What is pinned is there because somebody asked for it (`ebpflab xdp --pin`).
fn as_asked(iface: Option<String>) -> Feature {
    let of_one = iface.as_ref().map(|iface| format!(" --iface {iface}")).unwrap_or_default();
    let name = iface.map_or_else(|| "pinned elsewhere".to_owned(), |iface| format!("pinned on {iface}"));
    Feature {
        fix: Some(format!("ebpflab xdp --unpin{of_one}, if nobody wants it any more")),
        ..yes(GROUP, name, "an XDP program with its rules, as somebody asked for")
    }
}

/// Programs of ours, and who holds what.
type Look = (Vec<(u32, String)>, Holders);

fn is_held(program: u32, holders: &Holders) -> bool {
    holders.pids(Held::Program, program).next().is_some()
}

/// Those named like programs of our tools; nothing else tells them from others. Probes are never attached for long, and
/// what is pinned is no leftover.
fn ours(loaded: Vec<(u32, String)>, pinned: &BTreeSet<u32>) -> Vec<(u32, String)> {
    let names = objects::program_names();
    let is_ours =
        |(id, name): &(u32, String)| names.contains(name) && !name.starts_with("probe_") && !pinned.contains(id);
    loaded.into_iter().filter(is_ours).collect()
}

fn report(ours: &[(u32, String)], holders: &Holders) -> Feature {
    let left: Vec<_> =
        ours.iter().filter(|(id, _)| !is_held(*id, holders)).map(|(id, name)| format!("{name} (id {id})")).collect();
    if left.is_empty() {
        let mut pids: Vec<_> = ours.iter().flat_map(|(id, _)| holders.pids(Held::Program, *id)).collect();
        pids.sort();
        pids.dedup();
        let found = match pids.as_slice() {
            [] => "no program of ours is loaded".to_owned(),
            pids => {
                let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
                format!("those loaded belong to running processes: {}", pids.join(", "))
            }
        };
        return yes(GROUP, NAME, found);
    }
    no(
        GROUP,
        NAME,
        format!("loaded, and held by no process: {}", left.join(", ")),
        "they go on running",
        "remove their pins (ls -R /sys/fs/bpf) or detach them (bpftool net; tc filter del)",
    )
}

/// Who holds what; an error says why that cannot be known.
fn holders() -> Result<Holders, String> {
    if !in_initial_pid_namespace() {
        return Err("processes outside of this PID namespace may hold programs".to_owned());
    }
    let mut unseen = None;
    let holders = Holders::look(|pid, error| {
        // Others' processes are closed to those without CAP_SYS_PTRACE. (With it, one that hides all the same is no tool
        // of ours.)
        if error.kind() == io::ErrorKind::PermissionDenied && !privilege::holds(CAP_SYS_PTRACE) {
            unseen.get_or_insert_with(|| format!("what process {pid} holds cannot be seen: {error}"));
        }
    });
    let holders = holders.map_err(|error| format!("/proc: {error}"))?;
    if !Path::new("/proc/self").exists() {
        return Err("/proc is not mounted".to_owned());
    }
    unseen.map_or(Ok(holders), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_not_left_behind() {
        let programs = vec![(7, "count_sys_enter".to_owned()), (8, "systemd_devices".to_owned())];
        assert_eq!(ours(programs.clone(), &BTreeSet::from([7])), []);
        let ours = ours(programs, &BTreeSet::new());
        assert_eq!(ours, [(7, "count_sys_enter".to_owned())]);
        assert_eq!(report(&ours, &Holders::from([((Held::Program, 7), 100)])).answer, "yes");
        let left = report(&ours, &Holders::from([]));
        assert_eq!(left.answer, "no");
        assert!(left.found.contains("count_sys_enter (id 7)"), "{}", left.found);
    }

    #[test]
    fn the_kernel_cuts_none_of_our_names() {
        // BPF_OBJ_NAME_LEN counts the closing NUL.
        const NAME_LEN: usize = 15;
        let names = objects::program_names();
        assert!(names.contains(&"open_kretprobe".to_owned()), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= NAME_LEN), "{names:?}");
    }
}
