//! Programs of ours that nobody runs any more.

use std::{collections::HashMap, fs, thread, time::Duration};

use super::{no, unknown, yes};
use crate::{bpf::probe, objects, records::Feature};

const GROUP: &str = "leftovers";
const NAME: &str = "nothing left behind";

/// How long the kernel may take to free what was just let go of.
const FREED_AFTER: Duration = Duration::from_millis(300);

pub(super) fn features() -> Vec<Feature> {
    let look = || match probe::loaded_programs() {
        Ok(loaded) => report(&ours(loaded), &holders()),
        Err(error) => unknown(GROUP, NAME, format!("the kernel does not list programs: {error}"), "run it as root"),
    };
    let first = look();
    if first.answer != "no" {
        return vec![first];
    }
    thread::sleep(FREED_AFTER);
    vec![look()]
}

/// Those named like programs of our objects; nothing else tells them from others.
fn ours(loaded: Vec<(u32, String)>) -> Vec<(u32, String)> {
    let names = objects::program_names();
    loaded.into_iter().filter(|(_, name)| names.contains(name)).collect()
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

/// Which process holds a program, by the program's id. What another user's processes hold stays hidden, unless one
/// may look (CAP_SYS_PTRACE); the kernel lists programs to CAP_SYS_ADMIN only, who mostly may.
fn holders() -> HashMap<u32, u32> {
    let mut holders = HashMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        for info in fs::read_dir(process.path().join("fdinfo")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(info.path()).unwrap_or_default();
            let id = text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
            if let Some(id) = id {
                holders.insert(id, pid);
            }
        }
    }
    holders
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
