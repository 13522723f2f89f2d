//! Loads the program, attaches it, and logs what it tells: `RUST_LOG=info cargo run`

mod common;

use std::{process::ExitCode, ptr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::{Ebpf, include_bytes_aligned, maps::RingBuf, programs::RawTracePoint};
use common::Executed;
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/co_re"));

fn main() -> ExitCode {
    env_logger::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // <course>
    ensure!(!OBJECT.is_empty(), "this was built without a BPF toolchain; run scripts/setup, and cargo build again");
    // </course>
    // Here aya looks the fields up in the kernel's types, and puts their offsets into the program.
    let mut ebpf = Ebpf::load(OBJECT)
        .context("cannot load the object; are you root, and does the kernel have /sys/kernel/btf/vmlinux?")?;
    let program: &mut RawTracePoint = ebpf.program_mut("executed").context("no program executed")?.try_into()?;
    program.load()?;
    program.attach("sched_process_exec").context("cannot attach to the raw tracepoint sched_process_exec")?;
    let mut events = RingBuf::try_from(ebpf.map_mut("EVENTS").context("the object has no map EVENTS")?)?;
    info!("attached; Ctrl-C ends it");
    loop {
        while let Some(record) = events.next() {
            ensure!(record.len() >= size_of::<Executed>(), "a record is shorter than an Executed");
            // SAFETY: it is as long, and any bytes are an Executed.
            let event: Executed = unsafe { ptr::read_unaligned(record.as_ptr().cast()) };
            let name = event.filename.split(|byte| *byte == 0).next().unwrap_or_default();
            info!("pid {}, started by {}, executes {}", event.pid, event.parent, String::from_utf8_lossy(name));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
