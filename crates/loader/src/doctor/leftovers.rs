//! Programs of ours that nobody runs any more.

use std::{collections::HashMap, fs, io, path::Path, thread, time::Duration};

use super::{no, unknown, yes};
use crate::{
    bpf::probe,
    objects,
    privilege::{self, CAP_SYS_PTRACE},
    records::Feature,
    tools::in_initial_pid_namespace,
};

const GROUP: &str = "leftovers";
const NAME: &str = "nothing left behind";

/// How long the kernel may take to free what was just let go of.
const FREED_AFTER: Duration = Duration::from_millis(300);

pub(super) fn features() -> Vec<Feature> {
    let look = || -> Result<Look, String> {
        let loaded = probe::loaded_programs().map_err(|error| format!("the kernel does not list programs: {error}"))?;
        Ok((ours(loaded), holders()?))
    };
    let feature = look().and_then(|(first, holders)| {
        if first.iter().all(|(id, _)| holders.contains_key(id)) {
            return Ok(report(&first, &holders));
        }
        // What is left behind is there the second time too.
        thread::sleep(FREED_AFTER);
        let (mut second, holders) = look()?;
        second.retain(|program| first.contains(program));
        Ok(report(&second, &holders))
    });
    vec![feature.unwrap_or_else(|reason| unknown(GROUP, NAME, reason, "run it as root on the host"))]
}

/// Programs of ours, and which process holds a program, by the program's id.
type Look = (Vec<(u32, String)>, HashMap<u32, u32>);

/// Those named like programs of our tools; nothing else tells them from others. Probes are never attached for long.
fn ours(loaded: Vec<(u32, String)>) -> Vec<(u32, String)> {
    let names = objects::program_names();
    loaded.into_iter().filter(|(_, name)| names.contains(name) && !name.starts_with("probe_")).collect()
}

fn report(ours: &[(u32, String)], holders: &HashMap<u32, u32>) -> Feature {
    let left: Vec<_> =
        ours.iter().filter(|(id, _)| !holders.contains_key(id)).map(|(id, name)| format!("{name} (id {id})")).collect();
    if left.is_empty() {
        let mut pids: Vec<_> = ours.iter().filter_map(|(id, _)| holders.get(id)).collect();
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

/// Which process holds a program, by the program's id; an error says why that cannot be known.
fn holders() -> Result<HashMap<u32, u32>, String> {
    if !in_initial_pid_namespace() {
        return Err("processes outside of this PID namespace may hold programs".to_owned());
    }
    let mut holders = HashMap::new();
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let descriptors = match fs::read_dir(process.path().join("fdinfo")) {
            // Others' processes are closed to those without CAP_SYS_PTRACE. (With it, one that hides all the same is no
            // tool of ours.)
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !privilege::holds(CAP_SYS_PTRACE) => {
                return Err(format!("what process {pid} holds cannot be seen: {error}"));
            }
            descriptors => descriptors,
        };
        for info in descriptors.into_iter().flatten().flatten() {
            let text = fs::read_to_string(info.path()).unwrap_or_default();
            let id = text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
            if let Some(id) = id {
                holders.insert(id, pid);
            }
        }
    }
    match holders.is_empty() && !Path::new("/proc/self").exists() {
        true => Err("/proc is not mounted".to_owned()),
        false => Ok(holders),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_not_left_behind() {
        let programs = vec![(7, "count_sys_enter".to_owned()), (8, "systemd_devices".to_owned())];
        let ours = ours(programs);
        assert_eq!(ours, [(7, "count_sys_enter".to_owned())]);
        assert_eq!(report(&ours, &HashMap::from([(7, 100)])).answer, "yes");
        let left = report(&ours, &HashMap::new());
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
