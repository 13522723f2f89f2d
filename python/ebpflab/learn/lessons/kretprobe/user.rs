//! Loads both programs, attaches them, and logs what they tell: `RUST_LOG=info cargo run`

mod common;

// <only kprobe>
use std::path::Path;
// </only>
use std::{io, process::ExitCode, ptr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
// <only kprobe>
use aya::programs::KProbe;
// </only>
// <only raw_tracepoint>
//| use aya::programs::RawTracePoint;
// </only>
use aya::{Ebpf, include_bytes_aligned, maps::RingBuf};
use common::FailedOpen;
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/kretprobe"));

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
    // <only kprobe>
    ensure!(
        Path::new("/sys/bus/event_source/devices/kprobe").exists(),
        "this kernel has no kprobes (it is built without CONFIG_KPROBES), so nothing can be attached"
    );
    // </only>
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    // <only kprobe>
    for name in ["entered", "returned"] {
        let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
        let program: &mut KProbe = program.try_into()?;
        program.load()?;
        program.attach("do_sys_openat2", 0)?;
    }
    // </only>
    // <only raw_tracepoint>
    //| for (name, tracepoint) in [("entered", "sys_enter"), ("returned", "sys_exit")] {
    //|     let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    //|     let program: &mut RawTracePoint = program.try_into()?;
    //|     program.load()?;
    //|     program.attach(tracepoint)?;
    //| }
    // </only>
    let mut events = RingBuf::try_from(ebpf.map_mut("EVENTS").context("the object has no map EVENTS")?)?;
    info!("attached; Ctrl-C ends it");
    loop {
        while let Some(record) = events.next() {
            ensure!(record.len() >= size_of::<FailedOpen>(), "a record is shorter than a FailedOpen");
            // SAFETY: it is as long, and any bytes are a FailedOpen.
            let event: FailedOpen = unsafe { ptr::read_unaligned(record.as_ptr().cast()) };
            let name = event.name.split(|byte| *byte == 0).next().unwrap_or_default();
            let error = io::Error::from_raw_os_error(event.errno);
            info!("pid {} cannot open {}: {error}", event.pid, String::from_utf8_lossy(name));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
