//! `cgroup`: packets and bytes of a cgroup, and rules that deny some.

use std::{
    collections::HashMap,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    str::FromStr,
    time::Instant,
};

use ebpflab_common::{
    cgroup::{self as layout, MAX_RULES, Rule},
    cidr::Cidr,
    flows::Direction,
    packet::Traffic,
};

use super::{Needs, attached, max_entries, now};
use crate::{
    bpf::{Object, Opener, Target},
    cgroups::{self, Group, Hierarchy},
    containers::{Locator, Source},
    error::{Error, Result},
    hooks::{self, Kind, Way},
    names::ip_protocol,
    objects, privilege,
    records::{CgroupCounts, CgroupReading, DeniedCount, GroupCount, Reading},
    schema::Text,
    session::{Counter, Session, Tool},
};

/// Packets that are denied, as `CIDR`, `CIDR:PORT` or `CIDR:PORT/PROTO`, an IPv6 range with a port in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    text: String,
    rule: Rule,
}

impl FromStr for Deny {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::InvalidArgument(format!("{text} is no rule: {why}"));
        let (range, port) = split_port(text).ok_or_else(|| wrong("behind ] comes :PORT".to_owned()))?;
        let range: Cidr = range.parse().map_err(|error| wrong(format!("{range}: {error}")))?;
        let (port, protocol) = match port.map(|port| port.split_once('/').map_or((port, None), |(a, b)| (a, Some(b)))) {
            None => (None, None),
            Some((port, protocol)) => {
                let number = port.parse().ok().filter(|port| *port > 0);
                let number = number.ok_or_else(|| wrong(format!("{port} is no port from 1 to 65535")))?;
                let protocol = match protocol {
                    None => None,
                    Some("tcp") => Some(6),
                    Some("udp") => Some(17),
                    Some(other) => return Err(wrong(format!("{other} is neither tcp nor udp"))),
                };
                (Some(number), protocol)
            }
        };
        Ok(Self { text: text.to_owned(), rule: Rule::new(range, port, protocol) })
    }
}

/// The range, and what comes behind the colon after it. An IPv6 range has colons itself.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(text) = text.strip_prefix('[') {
        let (range, rest) = text.split_once(']')?;
        return if rest.is_empty() { Some((range, None)) } else { Some((range, Some(rest.strip_prefix(':')?))) };
    }
    match text.split_once(':') {
        Some((range, port)) if !port.contains(':') => Some((range, Some(port))),
        _ => Some((text, None)),
    }
}

/// What to count, and what to deny.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The first that fits a packet denies it; at most 64.
    pub deny: Vec<Deny>,
    /// Most counters, one for each cgroup, protocol and direction; 16,384 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "cgroup",
        operation: "attaching to a cgroup",
        capabilities: privilege::NETWORK,
        object: objects::CGROUP,
        prepare: || {
            unified("cgroup")?;
            Opener::new(objects::CGROUP).open().map(drop)
        },
        ways: vec![("packets", ways(&top()))],
    }
}

/// Attaches to a cgroup, by its directory or its path below the mount of v2, and starts counting.
///
/// # Errors
/// [`Error::InvalidArgument`] where there is no such cgroup, it is one of v1, or there are too many rules,
/// [`Error::NotSupported`] without v2, [`Error::Privilege`].
pub fn attach(cgroup: &Path, options: &Options) -> Result<Session> {
    if options.deny.len() > MAX_RULES as usize {
        let len = options.deny.len();
        return Err(Error::InvalidArgument(format!("there is room for {MAX_RULES} rules, not for {len}")));
    }
    let v2 = unified("cgroup")?;
    let cgroup = directory(cgroup, &v2)?;
    needs().check_privileges()?;
    let opener = Opener::new(objects::CGROUP).global("RULES_LEN", options.deny.len() as u32);
    let mut object = max_entries(opener, "GROUPS", options.max_entries)?.open()?;
    let rules: Vec<_> = options.deny.iter().map(|deny| deny.rule).collect();
    object.set_values("RULES", &rules)?;
    let mut hooked = hooks::attach(&mut object, "cgroup", &ways(&cgroup), None)?;
    if !Source::choose()?.is_v2() {
        hooked.blind_to.push("containers".to_owned());
    }
    let groups = Groups {
        id: inode(&cgroup),
        cgroup,
        rules: options.deny.iter().map(|deny| deny.text.clone()).collect(),
        locator: Locator::of_v2(v2),
        last: HashMap::new(),
        at: Instant::now(),
    };
    Session::start(object, Tool::Counter(Box::new(groups)), attached("cgroup", hooked))
}

/// The hierarchy of v2, for a tool that needs one.
///
/// # Errors
/// [`Error::NotSupported`] where it is not mounted.
pub(super) fn unified(tool: &str) -> Result<Hierarchy> {
    let found = cgroups::hierarchies()?.into_iter().find(|hierarchy| hierarchy.controllers.is_none());
    found.ok_or_else(|| Error::NotSupported {
        feature: tool.to_owned(),
        needs: "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1"
            .to_owned(),
        reason: "no hierarchy of cgroups v2 is mounted, and programs on packets and sockets know no other".to_owned(),
    })
}

/// The directory of a cgroup of v2.
fn directory(path: &Path, v2: &Hierarchy) -> Result<PathBuf> {
    if let Group::V1 { .. } = cgroups::find(path)? {
        return Err(Error::InvalidArgument(format!(
            "cgroup {} is of v1, and programs on packets know only v2, which is in {}",
            path.display(),
            v2.mount.display()
        )));
    }
    let below = v2.mount.join(path.strip_prefix("/").unwrap_or(path));
    let given = path.is_absolute().then(|| path.to_owned()).filter(|path| path.starts_with(&v2.mount));
    let directory = given.unwrap_or(below);
    directory.canonicalize().map_err(Error::os(format!("look for {}", directory.display())))
}

fn ways(cgroup: &Path) -> Vec<Way> {
    let program = |name, direction| (name, Target::CgroupSkb(cgroup.to_owned(), direction));
    let programs = vec![program("cgroup_ingress", Direction::Ingress), program("cgroup_egress", Direction::Egress)];
    vec![Way { kind: Kind::CgroupSkb, programs, tails: Vec::new(), blind_to: &[] }]
}

/// The directory of the cgroup that all are below, for a program that is attached for a moment; of none without v2.
pub(crate) fn top() -> PathBuf {
    unified("cgroup").map(|v2| v2.mount).unwrap_or_default()
}

/// Zero if it is gone.
fn inode(cgroup: &Path) -> u64 {
    fs::metadata(cgroup).map_or(0, |metadata| metadata.ino())
}

struct Groups {
    cgroup: PathBuf,
    id: u64,
    rules: Vec<String>,
    locator: Locator,
    /// Bytes of each at the last reading, and when that was.
    last: HashMap<layout::Group, u64>,
    at: Instant,
}

impl Counter for Groups {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.hash_map::<layout::Group, Traffic>("GROUPS")?;
        let denied = object.array::<Traffic>("DENIED")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.locator.update();
        let mut groups: Vec<_> =
            entries.into_iter().map(|(group, traffic)| self.row(group, traffic, seconds)).collect();
        groups.sort_by(|one, other| {
            let key = |row: &GroupCount| (row.cgroup, row.protocol.clone(), row.direction);
            other.bytes.cmp(&one.bytes).then_with(|| key(one).cmp(&key(other)))
        });
        let rules = self.rules.iter().zip(denied);
        let denied = rules
            .map(|(rule, Traffic { packets, bytes })| DeniedCount { rule: rule.clone(), packets, bytes })
            .collect();
        Ok(Reading::Cgroup(CgroupReading {
            time: now(),
            cgroup: Text::from(self.cgroup.as_os_str().as_bytes().to_vec()),
            counts: CgroupCounts { groups, denied },
        }))
    }

    fn check(&self, _object: &Object) -> Result<()> {
        match inode(&self.cgroup) == self.id {
            true => Ok(()),
            false => Err(Error::Gone { target: format!("cgroup {}", self.cgroup.display()) }),
        }
    }
}

impl Groups {
    fn row(&mut self, group: layout::Group, traffic: Traffic, seconds: f64) -> GroupCount {
        let before = self.last.insert(group, traffic.bytes).unwrap_or(0);
        let place = self.locator.place(group.cgroup);
        GroupCount {
            cgroup: group.cgroup,
            cgroup_path: place.as_ref().map(|place| place.path.clone()),
            container: place.and_then(|place| place.container.clone()),
            direction: Direction::of(group.direction).name(),
            protocol: ip_protocol(group.protocol as u8),
            packets: traffic.packets,
            bytes: traffic.bytes,
            rate: (traffic.bytes - before) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(range: &str, port: Option<u16>, protocol: Option<u8>) -> Rule {
        Rule::new(range.parse().expect("a range"), port, protocol)
    }

    #[test]
    fn rules_are_read() {
        for (text, expected) in [
            ("10.0.0.0/8", rule("10.0.0.0/8", None, None)),
            ("10.0.0.1", rule("10.0.0.1/32", None, None)),
            ("10.0.0.0/8:53", rule("10.0.0.0/8", Some(53), None)),
            ("10.0.0.0/8:53/udp", rule("10.0.0.0/8", Some(53), Some(17))),
            ("10.0.0.1:65535/tcp", rule("10.0.0.1/32", Some(65_535), Some(6))),
            ("2001:db8::/32", rule("2001:db8::/32", None, None)),
            ("[2001:db8::/32]", rule("2001:db8::/32", None, None)),
            ("[2001:db8::/32]:443/tcp", rule("2001:db8::/32", Some(443), Some(6))),
            ("[::1]:53", rule("::1/128", Some(53), None)),
        ] {
            assert_eq!(text.parse::<Deny>().expect(text).rule, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (text, why) in [
            ("", "no IPv4 or IPv6 address"),
            ("host", "no IPv4 or IPv6 address"),
            ("10.0.0.1/8", "the whole range is 10.0.0.0/8"),
            ("10.0.0.0/8:0", "0 is no port"),
            ("10.0.0.0/8:65536", "65536 is no port"),
            ("10.0.0.0/8:", " is no port"),
            ("10.0.0.0/8:53/icmp", "icmp is neither tcp nor udp"),
            ("[2001:db8::/32]53", "behind ] comes :PORT"),
            ("[2001:db8::/32", "behind ] comes :PORT"),
        ] {
            let error = text.parse::<Deny>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("{text} is no rule: ")) && error.contains(why), "{error}");
        }
    }
}
