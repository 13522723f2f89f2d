//! Where a file is, as the task that opened it sees it: the names from the file up to the root of the task, through
//! mounts. What `d_path` in the kernel's fs/d_path.c does, which programs of most kinds may not call.
//!
//! A module of each object that has paths. A walk keeps all its state in a map: so the verifier has little to remember
//! of each step, and a program may go on where another one stopped (a tail call). Names are read without the kernel's
//! locks: one that is changed by a rename at the same moment may come out as either, or mixed.

#![allow(dead_code, reason = "not every object needs all of it")]

use aya_ebpf::{btf_maps::PerCpuArray, helpers::generated::bpf_probe_read_kernel, macros::btf_map};
use ebpflab_common::open::{AT_FDCWD, FULL_PATH_LEN, PATH_LEN};
use ebpflab_ebpf::{
    kernel::{self, bounded, read},
    task::{file, task},
};

/// Longest path that a walk gives; all ones.
const LONGEST: u32 = FULL_PATH_LEN as u32;
const _: () = assert!((LONGEST + 1).is_power_of_two());
/// `NAME_MAX`, include/uapi/linux/limits.h; all ones.
const NAME_MAX: u32 = 255;

/// Names and mounts that one program walks over. With as many as a chain of tail calls has programs (33, so
/// `MAX_TAIL_CALL_CNT` in include/linux/bpf.h), that is 792.
const STEPS: u64 = 24;

/// How a walk ended, or that it has not.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    /// There is no walk.
    Skipped,
    /// It goes on.
    Walking,
    /// At the root of the task: the path is whole.
    Root,
    /// Above all mounts that the root of the task is in: what has no name there, or is not under that root.
    Outside,
    /// There is no room for the next name.
    Full,
    /// Kernel memory could not be read.
    Fault,
}

/// A walk. The path is written from the end of the buffer towards its start.
#[repr(C)]
pub(crate) struct Walk {
    root: Place,
    at: Place,
    /// The folder that is at the top of the mount.
    top: *const u8,
    state: State,
    /// Where the path begins, in `path`.
    start: u32,
    /// With room behind it for the longest that may be put in front, at any place: so the verifier sees it.
    path: [u8; LONGEST as usize + 1 + PATH_LEN],
}

/// What the kernel calls a `struct path`: `struct dentry` and `struct vfsmount`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Place {
    dentry: *const u8,
    mnt: *const u8,
}

/// Who walks. Programs of different kinds may come between each other on one CPU.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Walker {
    Open,
    Exec,
}

/// One for each CPU and walker: the kernel does not run a program while it is running on the same CPU already.
#[btf_map]
static WALKS: PerCpuArray<Walk, 2> = PerCpuArray::new();

impl Place {
    /// One that no walk leads from. Instead of `None` where a place goes far: the compiler copies what is in a `None`, and
    /// the verifier of 5.10 refuses reads of what was never written.
    pub(crate) const NOWHERE: Self = Self { dentry: core::ptr::null(), mnt: core::ptr::null() };

    /// Of an open file (`struct file`).
    #[inline(always)]
    pub(crate) fn of_file(file: *const u8) -> Option<Self> {
        Some(Self { dentry: read(file, kernel::file_f_path_dentry())?, mnt: read(file, kernel::file_f_path_mnt())? })
    }

    /// Where a relative path starts: of a file descriptor, or of the working directory.
    #[inline(always)]
    pub(crate) fn of_dirfd(dirfd: i32) -> Option<Self> {
        if dirfd == AT_FDCWD {
            let fs: *const u8 = read(task(), kernel::task_struct_fs())?;
            return Some(Self {
                dentry: read(fs, kernel::fs_struct_pwd_dentry())?,
                mnt: read(fs, kernel::fs_struct_pwd_mnt())?,
            });
        }
        Self::of_file(file(dirfd)?)
    }

    #[inline(always)]
    fn root() -> Option<Self> {
        let fs: *const u8 = read(task(), kernel::task_struct_fs())?;
        Some(Self { dentry: read(fs, kernel::fs_struct_root_dentry())?, mnt: read(fs, kernel::fs_struct_root_mnt())? })
    }

    /// Whether the file has been removed, or never had a name (`d_unlinked`, include/linux/dcache.h).
    #[inline(always)]
    pub(crate) fn is_unlinked(&self) -> bool {
        let parent: *const u8 = read(self.dentry, kernel::dentry_d_parent()).unwrap_or(self.dentry);
        self.is_unhashed() && parent != self.dentry
    }

    /// Whether there is no way to the file by a name: that, and what is of no folder (memory with a name of its own).
    #[inline(always)]
    pub(crate) fn is_unhashed(&self) -> bool {
        let hashed: *const u8 = read(self.dentry, kernel::dentry_d_hash_pprev()).unwrap_or(self.dentry);
        hashed.is_null() && !self.dentry.is_null()
    }
}

/// From the embedded `struct vfsmount` to the `struct mount` around it (`real_mount`, fs/mount.h).
#[inline(always)]
fn mount_offset() -> Option<usize> {
    Some(kernel::mount_mnt_mnt_root()? - kernel::vfsmount_mnt_root()?)
}

/// This CPU's walk.
#[inline(always)]
pub(crate) fn walk(who: Walker) -> Option<*mut Walk> {
    WALKS.get_ptr_mut(who as u32)
}

/// Makes the path an empty one.
#[inline(always)]
pub(crate) fn skip(walk: *mut Walk) {
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    unsafe {
        (*walk).start = LONGEST;
        (*walk).state = State::Skipped;
    }
}

/// Starts at a place, if it is known. The path ends with `tail`, a path of kernel memory that is relative to it, if it has a length.
#[inline(always)]
pub(crate) fn start(walk: *mut Walk, at: Option<Place>, tail: *const u8, tail_len: u32) {
    skip(walk);
    let Some((root, at)) = Place::root().zip(at) else { return end(walk, State::Fault) };
    // SAFETY: as above.
    unsafe {
        (*walk).root = root;
        (*walk).at = at;
        (*walk).state = State::Walking;
    }
    if tail_len > 0 {
        prepend(walk, tail, bounded(tail_len, PATH_LEN as u32));
        slash(walk);
    }
    if enter_mount(walk, at.mnt).is_none() {
        end(walk, State::Fault);
    }
}

/// Writes a name in front of the path. The caller has seen that there is room.
#[inline(always)]
fn prepend(walk: *mut Walk, name: *const u8, len: u32) {
    // SAFETY: `start` has the bits of the mask at most, and the buffer goes on for the longest name after that; the
    // helper checks the address of the name.
    unsafe {
        let start = bounded((*walk).start.wrapping_sub(len), LONGEST);
        (*walk).start = start;
        let to = (&raw mut (*walk).path).cast::<u8>().add(start as usize);
        if bpf_probe_read_kernel(to.cast(), len, name.cast()) != 0 {
            (*walk).state = State::Fault;
        }
    }
}

#[inline(always)]
fn slash(walk: *mut Walk) {
    // SAFETY: as above.
    unsafe {
        let start = bounded((*walk).start.wrapping_sub(1), LONGEST);
        (*walk).start = start;
        (&raw mut (*walk).path).cast::<u8>().add(start as usize).write(b'/');
    }
}

#[inline(always)]
fn end(walk: *mut Walk, state: State) {
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    unsafe { (*walk).state = state };
}

#[inline(always)]
fn enter_mount(walk: *mut Walk, mnt: *const u8) -> Option<()> {
    let top = read(mnt, kernel::vfsmount_mnt_root())?;
    // SAFETY: as above.
    unsafe {
        (*walk).at.mnt = mnt;
        (*walk).top = top;
    }
    Some(())
}

/// Goes on. True when the walk is over, false when another program has to go on with it.
#[inline(always)]
pub(crate) fn go(walk: *mut Walk) -> bool {
    let mut steps = 0_u64;
    // Through memory, so that the compiler does not write the loop out, all steps one after the other.
    // SAFETY: a variable of this function.
    while unsafe { (&raw const steps).read_volatile() } < STEPS {
        // SAFETY: as above.
        unsafe { (&raw mut steps).write_volatile(steps + 1) };
        // SAFETY: a value of the map, and nobody else writes it meanwhile.
        if unsafe { (*walk).state } != State::Walking {
            return true;
        }
        let state = step(walk).unwrap_or(State::Fault);
        if state != State::Walking {
            end(walk, state);
        }
    }
    // SAFETY: as above.
    unsafe { (*walk).state != State::Walking }
}

/// One name, or one mount.
#[inline(always)]
fn step(walk: *mut Walk) -> Option<State> {
    // SAFETY: a value of the map, and nobody else writes it meanwhile.
    let (at, root, top) = unsafe { ((*walk).at, (*walk).root, (*walk).top) };
    if at.dentry == root.dentry && at.mnt == root.mnt {
        return Some(State::Root);
    }
    if at.dentry == top {
        let mount = at.mnt.wrapping_sub(mount_offset()?);
        let parent: *const u8 = read(mount, kernel::mount_mnt_parent())?;
        if parent == mount {
            return Some(State::Outside);
        }
        let point = read(mount, kernel::mount_mnt_mountpoint())?;
        // SAFETY: as above.
        unsafe { (*walk).at.dentry = point };
        enter_mount(walk, parent.wrapping_add(mount_offset()?))?;
        return Some(State::Walking);
    }
    let parent: *const u8 = read(at.dentry, kernel::dentry_d_parent())?;
    let len: u32 = read(at.dentry, kernel::dentry_d_name_len())?;
    let name: *const u8 = read(at.dentry, kernel::dentry_d_name_name())?;
    // SAFETY: as above.
    let start = unsafe { (*walk).start };
    if len > NAME_MAX || start <= len {
        return Some(State::Full);
    }
    prepend(walk, name, bounded(len, NAME_MAX));
    if parent == at.dentry {
        // Of no folder: a pipe, or memory with a name of its own.
        return Some(State::Outside);
    }
    slash(walk);
    // SAFETY: as above.
    unsafe {
        (*walk).at.dentry = parent;
        Some((*walk).state)
    }
}

/// What a walk came to: how it ended, and the bytes of the path in the walk's buffer.
#[inline(always)]
pub(crate) fn found(walk: *mut Walk) -> (State, *const u8, u32) {
    // SAFETY: as above.
    unsafe {
        if (*walk).state == State::Root && (*walk).start == LONGEST {
            slash(walk);
        }
        let start = bounded((*walk).start, LONGEST);
        ((*walk).state, (&raw const (*walk).path).cast::<u8>().add(start as usize), LONGEST - start)
    }
}
