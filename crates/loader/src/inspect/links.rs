//! The links that attach programs. What is attached otherwise (perf events before 5.15, clsact filters, cgroups and XDP by
//! netlink) has none.

use std::{fs, os::fd::OwnedFd};

use super::{
    all,
    holders::{Held, Holders},
    info, kinds,
};
use crate::{
    bpf::sys::{self, LinkInfo},
    btf, cgroups,
    error::Result,
    interface,
    records::Link,
};

/// All links, by their ids.
///
/// # Errors
/// [`crate::error::Error`]: `Privilege`, `Os`.
pub fn links() -> Result<Vec<Link>> {
    let (links, holders) = all(sys::LINKS, "links")?;
    links.iter().map(|fd| link(fd, &holders)).collect()
}

/// Bytes of the longest name: of a file.
const LONGEST: usize = 4_096;

fn link(fd: &OwnedFd, holders: &Holders) -> Result<Link> {
    let mut about: LinkInfo = sys::blank();
    info(fd, &mut about)?;
    let (kind, id, program) = (low(about[0]), high(about[0]), low(about[1]));
    let kind = kinds::link(kind);
    let target = target(fd, &kind, &about)?;
    Ok(Link { id, kind, program, target, holders: holders.of(Held::Link, id) })
}

/// What it is attached to; where each type has that in `struct bpf_link_info` is in include/uapi/linux/bpf.h.
fn target(fd: &OwnedFd, kind: &str, about: &LinkInfo) -> Result<Option<String>> {
    let (first, second) = (about[2], about[3]);
    Ok(match kind {
        "raw_tracepoint" => named(fd, about, 2)?,
        "tracing" => {
            let attachment = kinds::attachment(low(first));
            // The kernel's own types are the first that have an id. Before 5.13 it does not tell either.
            Some(match (high(first), low(second)) {
                (_, 0) => attachment,
                (1, id) => format!("{attachment} {}", function(id).unwrap_or_else(|| format!("type {id}"))),
                (_, id) => format!("{attachment} type {id}"),
            })
        }
        "cgroup" => Some(format!("{} {}", kinds::attachment(low(second)), cgroup(first))),
        "netns" => Some(format!("{} net:[{}]", kinds::attachment(high(first)), low(first))),
        "xdp" => Some(interface(low(first), low(about[1]))),
        "tcx" | "netkit" => Some(format!("{} interface {}", kinds::attachment(high(first)), low(first))),
        "perf_event" => perf_event(fd, about)?,
        "kprobe_multi" if low(second) != 0 => Some(format!("{} functions", low(second))),
        _ => None,
    })
}

/// `enum bpf_perf_event_type`, which kernels tell from 6.6 on.
fn perf_event(fd: &OwnedFd, about: &LinkInfo) -> Result<Option<String>> {
    const NAME: usize = 3;
    let kind = match low(about[2]) {
        1 => "uprobe",
        2 => "uretprobe",
        3 => "kprobe",
        4 => "kretprobe",
        5 => "tracepoint",
        _ => return Ok(None),
    };
    Ok(named(fd, about, NAME)?.map(|name| format!("{kind} {name}")))
}

/// A name that the kernel writes where it is told to: the address is in a word, how long it may be in the next.
fn named(fd: &OwnedFd, about: &LinkInfo, word: usize) -> Result<Option<String>> {
    let mut name = vec![0u8; LONGEST];
    let mut asked: LinkInfo = sys::blank();
    (asked[word], asked[word + 1]) = (name.as_mut_ptr() as u64, LONGEST as u64);
    // Of a uprobe the offset stands beside the length.
    let offset = if word == 3 { high(about[word + 1]) } else { 0 };
    info(fd, &mut asked)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    let name = String::from_utf8_lossy(&name[..end]);
    Ok(match (name.is_empty(), offset) {
        (true, _) => None,
        (false, 0) => Some(name.into_owned()),
        (false, offset) => Some(format!("{name}+{offset:#x}")),
    })
}

/// Its name, if the program is on it here; the same index may be that of an interface of another network namespace.
fn interface(index: u32, program: u32) -> String {
    let name = || {
        let attached = interface::attached_xdp(index).ok()??;
        if attached.program == Some(program) { interface::name_of(index) } else { None }
    };
    name().unwrap_or_else(|| format!("interface {index}"))
}

fn function(id: u32) -> Option<String> {
    btf::name_of(&fs::read("/sys/kernel/btf/vmlinux").ok()?, id)
}

/// Its path, or its id where that is not to be found.
fn cgroup(id: u64) -> String {
    let mut found = None;
    let hierarchies = cgroups::hierarchies().unwrap_or_default();
    if let Some(v2) = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none()) {
        let _ = cgroups::each_below(&v2.mount, &mut |path, other| {
            if other == id {
                found = Some(path.display().to_string());
            }
        });
    }
    found.unwrap_or_else(|| format!("id {id}"))
}

fn low(word: u64) -> u32 {
    word as u32
}

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}
