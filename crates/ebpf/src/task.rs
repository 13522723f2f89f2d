//! The task that runs a program.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{bpf_get_current_task, bpf_probe_read_kernel_str},
};
use ebpflab_common::filter::{COMM_LEN, Task};

use crate::kernel::{self, read};

/// The task on this CPU.
pub struct Current;

impl Task for Current {
    #[inline(always)]
    fn pid_tid(&self) -> (u32, u32) {
        let pid_tgid = bpf_get_current_pid_tgid();
        ((pid_tgid >> 32) as u32, pid_tgid as u32)
    }

    #[inline(always)]
    fn uid(&self) -> u32 {
        bpf_get_current_uid_gid() as u32
    }

    #[inline(always)]
    fn comm(&self) -> [u8; COMM_LEN] {
        bpf_get_current_comm().unwrap_or_default()
    }
}

/// Any task, by its `struct task_struct`. What cannot be read is zero.
pub struct Other(pub *const u8);

impl Task for Other {
    #[inline(always)]
    fn pid_tid(&self) -> (u32, u32) {
        let id = |field| read(self.0, field).unwrap_or(0);
        (id(kernel::task_struct_tgid()), id(kernel::task_struct_pid()))
    }

    #[inline(always)]
    fn uid(&self) -> u32 {
        let credentials: Option<*const u8> = read(self.0, kernel::task_struct_cred());
        credentials.and_then(|credentials| read(credentials, kernel::cred_uid_val())).unwrap_or(0)
    }

    /// As a text: behind its end there may be what is left of a longer name.
    #[inline(always)]
    fn comm(&self) -> [u8; COMM_LEN] {
        let mut comm = [0; COMM_LEN];
        if let Some(offset) = kernel::task_struct_comm() {
            let name = self.0.wrapping_add(offset);
            // SAFETY: as long as is told; the helper checks the address of the name.
            unsafe { bpf_probe_read_kernel_str(comm.as_mut_ptr().cast(), COMM_LEN as u32, name.cast()) };
        }
        comm
    }
}

/// `struct task_struct` of the current task.
#[inline(always)]
pub fn task() -> *const u8 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_get_current_task() as *const u8 }
}

/// The parent of the current task: process id, and name of its first thread.
#[inline(always)]
pub fn parent() -> Option<(u32, [u8; COMM_LEN])> {
    let parent: *const u8 = read(task(), kernel::task_struct_real_parent())?;
    Some((read(parent, kernel::task_struct_tgid())?, read(parent, kernel::task_struct_comm())?))
}

/// The open file behind a file descriptor of the current task.
#[inline(always)]
pub fn file(fd: i32) -> Option<*const u8> {
    let files: *const u8 = read(task(), kernel::task_struct_files())?;
    let table: *const u8 = read(files, kernel::files_struct_fdt())?;
    let size: u32 = read(table, kernel::fdtable_max_fds())?;
    // A negative one is a very large one.
    if fd as u32 >= size {
        return None;
    }
    let slots: *const u8 = read(table, kernel::fdtable_fd())?;
    let file: *const u8 = read(slots, Some(fd as usize * size_of::<usize>()))?;
    (!file.is_null()).then_some(file)
}

/// Id of the current task's cgroup in the v1 hierarchy of a controller (`task_css`, include/linux/cgroup.h).
#[inline(always)]
pub fn v1_cgroup_id(controller: u32) -> Option<u64> {
    v1_cgroup_id_of(task(), controller)
}

/// The same of any task.
#[inline(always)]
pub fn v1_cgroup_id_of(task: *const u8, controller: u32) -> Option<u64> {
    let set: *const u8 = read(task, kernel::task_struct_cgroups())?;
    let slot = kernel::css_set_subsys()? + controller as usize * size_of::<usize>();
    let state: *const u8 = read(set, Some(slot))?;
    cgroup_id(read(state, kernel::cgroup_subsys_state_cgroup())?)
}

/// Id of a cgroup: that of its node in kernfs, which is the inode number of its directory.
#[inline(always)]
pub fn cgroup_id(cgroup: *const u8) -> Option<u64> {
    read(read(cgroup, kernel::cgroup_kn())?, kernel::kernfs_node_id())
}

/// Process id of the current task in its own PID namespace; `pid` is that in the initial one.
#[inline(always)]
pub fn ns_pid(pid: u32) -> u32 {
    inner_pid().unwrap_or(pid)
}

/// The number of the innermost of the namespaces that the process is in (`struct upid`, include/linux/pid.h); `None`
/// where that is the initial one.
#[inline(always)]
fn inner_pid() -> Option<u32> {
    /// An int and a pointer.
    const UPID_SIZE: usize = 16;
    let own: *const u8 = read(task(), kernel::task_struct_thread_pid())?;
    let level: u32 = read(own, kernel::pid_level())?;
    if level == 0 {
        return None;
    }
    let leader: *const u8 = read(task(), kernel::task_struct_group_leader())?;
    let process: *const u8 = read(leader, kernel::task_struct_thread_pid())?;
    read(process, Some(kernel::pid_numbers_nr()? + level as usize * UPID_SIZE))
}
