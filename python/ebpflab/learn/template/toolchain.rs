//! Finds what builds for BPF. Part of build scripts: of the lessons' workspaces, and of ebpflab's own.

use std::{env, fmt, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// A compiler that has `core` for BPF, and the linker.
pub(crate) struct BpfToolchain {
    /// As `rustup run` knows it; without rustup aya-build takes the compiler on PATH whatever it is called.
    pub(crate) name: String,
    /// A stable compiler that must be told to take aya-ebpf's one unstable feature (it ships `core` for BPF).
    bootstrap: bool,
    #[allow(dead_code, reason = "not every build script tells it")]
    pub(crate) rustc: String,
    #[allow(dead_code, reason = "not every build script tells it")]
    pub(crate) linker: String,
}

impl BpfToolchain {
    /// Tells the compiler, through the environment, whether it is a stable one. For a build script's only thread.
    pub(crate) fn set_bootstrap(&self) {
        // SAFETY: there is no other thread that might read the environment meanwhile.
        unsafe {
            match self.bootstrap {
                true => env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf"),
                false => env::remove_var("RUSTC_BOOTSTRAP"),
            }
        }
    }
}

impl fmt::Display for BpfToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.rustc, self.linker)
    }
}

/// `debian-bpf` (what the setup script links on Debian) before nightly with rust-src. Where there is no rustup, Debian's
/// own compiler, known by the `core` for BPF that it brings.
pub(crate) fn find() -> Result<BpfToolchain> {
    let linker = first_line(Command::new("bpf-linker").arg("--version"));
    let linker = linker.context("there is no bpf-linker here")?;
    if Command::new("rustup").arg("--version").output().is_err() {
        let run = |args: &[&str]| first_line(Command::new("rustc").args(args));
        let core = run(&["--print", "target-libdir", "--target", "bpfel-unknown-none"]);
        if let Some(rustc) = run(&["--version"])
            && core.is_some_and(|core| Path::new(&core).exists())
        {
            return Ok(BpfToolchain { name: "rustc".to_owned(), bootstrap: true, rustc, linker });
        }
    }
    for (name, bootstrap) in [("debian-bpf", true), ("nightly", false)] {
        let run = |args: &[&str]| first_line(Command::new("rustup").args(["run", name]).args(args));
        let Some(rustc) = run(&["rustc", "--version"]) else { continue };
        let sysroot = run(&["rustc", "--print", "sysroot"]).unwrap_or_default();
        if bootstrap || Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").exists() {
            return Ok(BpfToolchain { name: name.to_owned(), bootstrap, rustc, linker });
        }
    }
    bail!("there is no Rust toolchain here that builds for BPF")
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}
