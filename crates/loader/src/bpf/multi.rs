//! One program at many functions of the kernel at once: links of kprobe.multi (Linux 5.18), which cost one system call for
//! all, and not a perf event for each. aya 0.14 knows nothing of them, so the program is loaded here, with the maps that aya
//! has made.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::Ebpf;

use super::{btf_for, no_program, parse, sys, user::map_data};
use crate::error::{Error, Result, with_causes};

pub(crate) use sys::Function;

/// A program that is loaded, and what keeps it attached.
pub(super) struct Multi {
    pub(super) name: String,
    pub(super) program: OwnedFd,
    pub(super) links: Vec<OwnedFd>,
}

impl Multi {
    /// Loads a program. What the kernel says against it, it says better of the same program for a kprobe.
    pub(super) fn load(ebpf: &Ebpf, elf: &[u8], name: &str) -> Result<Self> {
        let mut object = parse(elf)?;
        let damaged = |error: &(dyn std::error::Error + 'static)| Error::Object(with_causes(error));
        if let Some(btf) = btf_for(elf, &mut None)? {
            object.relocate_btf(&btf).map_err(|error| damaged(&error))?;
        }
        let sections: HashSet<_> = object.functions.keys().map(|(section, _)| *section).collect();
        let described = object.maps.clone();
        let maps = ebpf
            .maps()
            .filter_map(|(name, map)| Some((name, map_data(map).fd().as_fd().as_raw_fd(), described.get(name)?)));
        object.relocate_maps(maps, &sections).map_err(|error| damaged(&error))?;
        object.relocate_calls(&sections).map_err(|error| damaged(&error))?;
        let program = object.programs.get(name).ok_or_else(|| no_program(name))?;
        let code = &object.functions.get(&program.function_key()).ok_or_else(|| no_program(name))?.instructions;
        let loaded = sys::load_for_functions(name, code, &program.license);
        let program = loaded.map_err(Error::os(format!("load program {name} for kprobe.multi")))?;
        Ok(Self { name: name.to_owned(), program, links: Vec::new() })
    }

    /// Attaches it to functions, as far as the kernel takes them; returns which it took. It takes all that it is told, or
    /// none: what it refuses is halved, until it is one.
    pub(super) fn attach(&mut self, functions: &[Function]) -> Vec<bool> {
        let mut taken = vec![false; functions.len()];
        self.attach_halves(functions, &mut taken);
        taken
    }

    fn attach_halves(&mut self, functions: &[Function], taken: &mut [bool]) {
        match self.link(functions) {
            Ok(link) => {
                self.links.push(link);
                taken.fill(true);
            }
            Err(_) if functions.len() > 1 => {
                let half = functions.len() / 2;
                let (first, second) = taken.split_at_mut(half);
                self.attach_halves(&functions[..half], first);
                self.attach_halves(&functions[half..], second);
            }
            Err(_) => {}
        }
    }

    /// Whether the kernel has such links: it takes one to a function that every kernel has.
    pub(super) fn is_supported(&self, function: Function) -> bool {
        self.link(&[function]).is_ok()
    }

    fn link(&self, functions: &[Function]) -> io::Result<OwnedFd> {
        sys::link_functions(self.program.as_fd(), functions)
    }

    /// Runs that the kernel skipped; `None` before 6.7, which counts only some.
    pub(super) fn missed(&self) -> Option<u64> {
        let skipped = sys::recursion_misses(self.program.as_fd()).ok()??;
        self.links.iter().map(|link| sys::link_misses(link.as_fd())).sum::<Option<u64>>().map(|more| more + skipped)
    }
}
