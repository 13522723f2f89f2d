//! The programs that are loaded.

use std::{
    collections::HashMap,
    mem::offset_of,
    os::fd::{AsFd as _, OwnedFd},
};

use aya_obj::generated::bpf_prog_info;

use super::{
    all,
    holders::{Held, Holders},
    info, kinds, memory, name,
};
use crate::{
    bpf::sys,
    error::{Error, Result},
    privilege::{self, CAP_SYS_ADMIN},
    records::Program,
    tools::clock_offset,
};

/// As long as it is there the kernel measures the runs of all programs, of everybody. It costs each run two readings of
/// the clock.
pub struct Stats {
    _enabled: OwnedFd,
    before: HashMap<u32, (u64, u64)>,
}

impl Stats {
    /// Has it begin.
    ///
    /// # Errors
    /// [`Error::Privilege`], [`Error::Os`].
    pub fn start() -> Result<Self> {
        privilege::require("measuring the runs of programs", &[CAP_SYS_ADMIN])?;
        let enabled = sys::enable_stats().map_err(Error::os("have the kernel measure the runs of programs"))?;
        let runs = |program: Program| (program.id, (program.run_count, program.run_time_ns));
        Ok(Self { _enabled: enabled, before: programs()?.into_iter().map(runs).collect() })
    }

    /// All programs, with the runs since it began.
    ///
    /// # Errors
    /// As for [`programs`].
    pub fn programs(&self) -> Result<Vec<Program>> {
        let mut programs = programs()?;
        for program in &mut programs {
            let (count, time) = self.before.get(&program.id).copied().unwrap_or_default();
            program.run_count -= count;
            program.run_time_ns -= time;
        }
        Ok(programs)
    }
}

/// All programs, by their ids.
///
/// # Errors
/// [`Error::Privilege`], [`Error::Os`].
pub fn programs() -> Result<Vec<Program>> {
    let clock_offset = clock_offset()?;
    let (programs, holders) = all(sys::PROGRAMS, "programs")?;
    programs.iter().map(|fd| program(fd, &holders, clock_offset)).collect()
}

fn program(fd: &OwnedFd, holders: &Holders, clock_offset: u64) -> Result<Program> {
    let mut about = sys::blank::<bpf_prog_info>();
    info(fd, &mut about)?;
    let mut maps = vec![0; about.nr_map_ids as usize];
    about = sys::blank();
    (about.nr_map_ids, about.map_ids) = (maps.len() as u32, maps.as_mut_ptr() as u64);
    let known = info(fd, &mut about)?;
    let tells = |end: usize| known >= end;
    Ok(Program {
        id: about.id,
        kind: kinds::program(about.type_),
        name: name(&about.name),
        tag: about.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        loaded: about.load_time + clock_offset,
        uid: about.created_by_uid,
        instructions: about.xlated_prog_len / size_of::<u64>() as u32,
        jited_bytes: about.jited_prog_len,
        memory_bytes: memory(fd.as_fd()),
        verified_instructions: tells(offset_of!(bpf_prog_info, attach_btf_obj_id)).then_some(about.verified_insns),
        missed: tells(offset_of!(bpf_prog_info, verified_insns)).then_some(about.recursion_misses),
        run_count: about.run_cnt,
        run_time_ns: about.run_time_ns,
        maps,
        holders: holders.of(Held::Program, about.id),
    })
}
