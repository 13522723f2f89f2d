//! The sockets that processes hold already: each is borrowed by its file descriptor (`pidfd_getfd`, 5.6) for a moment.

use std::{
    collections::HashSet,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    path::Path,
};

use ebpflab_common::{filter::COMM_LEN, traffic::Owner};

use crate::error::{Error, Result};

/// Hands on every socket of IP that a process holds, with whoever that is: of several processes the one with the lowest
/// id. Returns how many processes did not let their sockets be borrowed, and why the first did not.
///
/// # Errors
/// [`Error::Os`] where /proc is not to be read, and what the function returns.
pub(crate) fn held(mut found: impl FnMut(Owner, BorrowedFd<'_>) -> Result<()>) -> Result<(usize, Option<io::Error>)> {
    let processes = fs::read_dir("/proc").map_err(Error::os("read /proc"))?;
    let mut pids: Vec<u32> = processes.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut known = HashSet::new();
    let (mut refused, mut reason) = (0, None);
    for pid in pids {
        match of_process(pid, &mut known, &mut found)? {
            // A process that has gone has no sockets.
            Ok(()) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
            Err(error) => {
                refused += 1;
                reason.get_or_insert(error);
            }
        }
    }
    Ok((refused, reason))
}

/// Of one process, those that are not known yet, by their inodes. The inner result says why they are not to be had.
fn of_process(
    pid: u32,
    known: &mut HashSet<String>,
    found: &mut impl FnMut(Owner, BorrowedFd<'_>) -> Result<()>,
) -> Result<io::Result<()>> {
    let folder = Path::new("/proc").join(pid.to_string());
    let descriptors = match fs::read_dir(folder.join("fd")) {
        Ok(descriptors) => descriptors,
        Err(error) => return Ok(Err(error)),
    };
    let mut process = None;
    for descriptor in descriptors.flatten() {
        let Some(inode) = inode_of_socket(&descriptor.path()) else { continue };
        let Some(fd) = descriptor.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if known.contains(&inode) {
            continue;
        }
        let (owner, pidfd) = match process.take().map_or_else(|| open(pid, &folder), Ok) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        match borrow(&pidfd, fd) {
            Ok(socket) => {
                known.insert(inode);
                if is_ip(&socket) {
                    found(owner, socket.as_fd())?;
                }
            }
            // It was closed by now.
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {}
            Err(error) => return Ok(Err(error)),
        }
        process = Some((owner, pidfd));
    }
    Ok(Ok(()))
}

/// What stands in the link of a descriptor of a socket; `None` for others.
fn inode_of_socket(descriptor: &Path) -> Option<String> {
    let target = fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:").map(str::to_owned)
}

fn open(pid: u32, folder: &Path) -> io::Result<(Owner, OwnedFd)> {
    let name = fs::read(folder.join("comm"))?;
    let mut owner = Owner { pid, comm: [0; COMM_LEN] };
    owner.comm.iter_mut().zip(name.trim_ascii_end()).for_each(|(to, from)| *to = *from);
    // SAFETY: no memory is passed.
    let pidfd = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    Ok((owner, pidfd))
}

fn borrow(process: &OwnedFd, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

fn owned(returned: libc::c_long) -> io::Result<OwnedFd> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(returned as RawFd) })
}

/// Whether a socket is one of IPv4 or IPv6.
fn is_ip(socket: &OwnedFd) -> bool {
    let mut domain: libc::c_int = 0;
    let mut len = size_of_val(&domain) as libc::socklen_t;
    // SAFETY: the value is as long as is said.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN, (&raw mut domain).cast(), &raw mut len)
    };
    done == 0 && matches!(domain, libc::AF_INET | libc::AF_INET6)
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::unix::net::UnixDatagram};

    use super::*;

    /// Of this process at least, which may always look at itself.
    #[test]
    fn own_sockets_of_ip_are_found_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let twice = socket.try_clone().expect("a descriptor");
        let other = UnixDatagram::unbound().expect("a socket");
        let address = socket.local_addr().expect("it is bound");
        let mut found = Vec::new();
        let mut known = HashSet::new();
        let own = std::process::id();
        of_process(own, &mut known, &mut |owner: Owner, borrowed: BorrowedFd<'_>| {
            let borrowed = UdpSocket::from(borrowed.try_clone_to_owned().expect("a descriptor"));
            if borrowed.local_addr().is_ok_and(|it| it == address) {
                found.push(owner.pid);
            }
            Ok(())
        })
        .expect("nothing fails in the function")
        .expect("it may be looked at");
        assert_eq!(found, [own]);
        assert!(known.len() >= 2, "{known:?}");
        drop((twice, other));
    }
}
