//! What this process may do, and where cgroups are.

use std::fs;

use super::{no, not_needed, unknown, yes};
use crate::{
    privilege::{self, CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_RESOURCE},
    records::Feature,
};

/// Each capability that a tool may want, held or missing.
pub(super) fn capabilities() -> Vec<Feature> {
    const GROUP: &str = "capability";
    const NOTHING: &str = "no tool works";
    [
        (CAP_BPF, "to load programs and make maps", Some(NOTHING)),
        (CAP_PERFMON, "to read the kernel's memory and to attach to its functions", Some(NOTHING)),
        (CAP_NET_ADMIN, "to attach to interfaces", Some("cgroup, flows, traffic and xdp do not work")),
        // Whether that is a loss is what `memory for maps` says.
        (CAP_SYS_RESOURCE, "to raise the limit on locked memory, which maps count against before 5.11", None),
    ]
    .into_iter()
    .map(|(capability, what, costs)| match (privilege::holds(capability), costs) {
        (true, _) => yes(GROUP, capability.0, format!("held, {what}")),
        (false, None) => not_needed(GROUP, capability.0, format!("missing, {what}")),
        (false, Some(costs)) => {
            no(GROUP, capability.0, format!("missing, {what}"), costs, privilege::fix(&[capability]))
        }
    })
    .collect()
}

/// Both hierarchies may be there at once.
pub(super) fn cgroups() -> Vec<Feature> {
    const GROUP: &str = "cgroup";
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
        return vec![unknown(GROUP, "v2", "/proc/self/mountinfo cannot be read", "mount -t proc proc /proc")];
    };
    let (v2, v1) = (mounts_of(&mounts, "cgroup2"), mounts_of(&mounts, "cgroup"));
    let v2 = match v2.first() {
        Some(at) => yes(GROUP, "v2", format!("mounted on {at}")),
        None => no(
            GROUP,
            "v2",
            "not mounted",
            "cgroups and containers of events come from a v1 hierarchy, and are not known where there is none either",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1",
        ),
    };
    let v1 = match v1.first() {
        Some(at) => Feature {
            costs: Some("a filter by a cgroup of v1 leaves out those that are made below it later".to_owned()),
            ..yes(GROUP, "v1", format!("mounted on {at} and {} more", v1.len() - 1))
        },
        None => not_needed(GROUP, "v1", "not mounted"),
    };
    vec![v2, v1]
}

/// Where file systems of a type are mounted: in each line of mountinfo the fifth field is the place, and the type is
/// the first after a lone dash (proc_pid_mountinfo(5)).
fn mounts_of<'a>(mountinfo: &'a str, kind: &str) -> Vec<&'a str> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            (after.split(' ').next()? == kind).then(|| before.split(' ').nth(4))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::mounts_of;

    #[test]
    fn mounts_are_told_by_type_and_not_by_source() {
        let text = "31 25 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup rw\n\
                    32 25 0:28 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup2 rw,cpu\n";
        assert_eq!(mounts_of(text, "cgroup2"), ["/sys/fs/cgroup/unified"]);
        assert_eq!(mounts_of(text, "cgroup"), ["/sys/fs/cgroup/cpu"]);
    }
}
