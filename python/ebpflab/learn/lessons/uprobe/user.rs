//! Loads both programs, attaches them, and logs what they tell: `RUST_LOG=info cargo run`
//!
//! For something to tell: `python3 -c 'import ctypes; print(ctypes.CDLL(None).a64l(b"abc"))'`

mod common;

use std::{path::Path, process::ExitCode, ptr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, include_bytes_aligned,
    maps::RingBuf,
    programs::{UProbe, uprobe::UProbeScope},
};
use common::Decoded;
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/uprobe"));

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
    ensure!(
        Path::new("/sys/bus/event_source/devices/uprobe").exists(),
        "this kernel has no uprobes (it is built without CONFIG_UPROBES), so nothing can be attached"
    );
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    for name in ["entered", "returned"] {
        let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
        let program: &mut UProbe = program.try_into()?;
        program.load()?;
        program.attach("a64l", "libc", UProbeScope::AllProcesses).context("cannot attach to a64l of the C library")?;
    }
    let mut events = RingBuf::try_from(ebpf.map_mut("EVENTS").context("the object has no map EVENTS")?)?;
    info!("attached; Ctrl-C ends it");
    loop {
        while let Some(record) = events.next() {
            ensure!(record.len() >= size_of::<Decoded>(), "a record is shorter than a Decoded");
            // SAFETY: it is as long, and any bytes are a Decoded.
            let event: Decoded = unsafe { ptr::read_unaligned(record.as_ptr().cast()) };
            let text = event.text.split(|byte| *byte == 0).next().unwrap_or_default();
            info!("pid {}: a64l({}) = {}", event.pid, String::from_utf8_lossy(text), event.result);
        }
        thread::sleep(Duration::from_millis(100));
    }
}
