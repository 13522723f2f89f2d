//! The record of a process that ended.

use crate::event::Header;

/// It has no strings.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Who and when: the last thread of the process.
    pub header: Header,
    /// Nanoseconds since the process started.
    pub duration: u64,
    /// When it last executed a program: nanoseconds since boot; zero where that is not known.
    pub exec_time: u64,
    /// The parent's process id.
    pub ppid: u32,
    /// How it ended, as wait(2) has it.
    pub status: i32,
}

const _: () = assert!(size_of::<Exit>() == 88);
crate::pod!(Exit);

impl Exit {
    /// The status that it ended with by itself; `None` if a signal killed it.
    pub fn code(&self) -> Option<u32> {
        self.signal().is_none().then_some((self.status as u32 >> 8) & 0xff)
    }

    /// The signal that killed it.
    pub fn signal(&self) -> Option<u32> {
        let signal = self.status as u32 & 0x7f;
        (signal != 0).then_some(signal)
    }

    /// Whether its memory was dumped.
    pub fn dumped_core(&self) -> bool {
        self.signal().is_some() && self.status & 0x80 != 0
    }
}

/// One process among all that ever were: the key of the map `ENDED`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// When it started: nanoseconds since boot.
    pub start: u64,
    /// Its id.
    pub pid: u64,
}

const _: () = assert!(size_of::<Process>() == 16);
crate::pod!(Process);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_libc_says() {
        for status in (0..=0xffff).filter(|status| libc::WIFEXITED(*status) || libc::WIFSIGNALED(*status)) {
            let exit = Exit { status, ..Exit::default() };
            let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status) as u32);
            let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status) as u32);
            assert_eq!((exit.code(), exit.signal()), (code, signal), "{status:#x}");
            assert_eq!(exit.dumped_core(), signal.is_some() && libc::WCOREDUMP(status), "{status:#x}");
        }
    }
}
