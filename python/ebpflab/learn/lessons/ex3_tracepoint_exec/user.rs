//! Loads the program, attaches it, and logs what it tells: `RUST_LOG=info cargo run`

mod common;

use std::{path::Path, process::ExitCode, ptr, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::{
    Ebpf, include_bytes_aligned,
    maps::{PerfEventArray, perf::PerfEvent},
    programs::TracePoint,
    util::online_cpus,
};
use common::ExecEvent;
use log::{info, warn};

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ex3_tracepoint_exec"));

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
        ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"]
            .iter()
            .any(|folder| Path::new(folder).exists()),
        "tracefs is not mounted, so there are no tracepoints; mount -t tracefs tracefs /sys/kernel/tracing"
    );
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    let program: &mut TracePoint = ebpf.program_mut("executed").context("no program executed")?.try_into()?;
    program.load()?;
    program.attach("sched", "sched_process_exec")?;
    let mut array = PerfEventArray::try_from(ebpf.map_mut("EVENTS").context("the object has no map EVENTS")?)?;
    let cpus = online_cpus().map_err(|(_, error)| anyhow!("which CPUs are there? {error}"))?;
    let mut buffers = cpus.into_iter().map(|cpu| array.open(cpu, Some(16))).collect::<Result<Vec<_>, _>>()?;
    info!("attached; Ctrl-C ends it");
    loop {
        for buffer in &mut buffers {
            buffer.for_each(|event| match event {
                // Where the buffer ends inside of a record, the rest of it is in tail.
                PerfEvent::Sample { head, tail } => tell(&[head, tail].concat()),
                PerfEvent::Lost { count } => warn!("{count} events did not fit"),
            });
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn tell(record: &[u8]) {
    if record.len() < size_of::<ExecEvent>() {
        warn!("a record is shorter than an ExecEvent");
        return;
    }
    // SAFETY: it is as long, and any bytes are an ExecEvent.
    let event: ExecEvent = unsafe { ptr::read_unaligned(record.as_ptr().cast()) };
    let name = event.filename.split(|byte| *byte == 0).next().unwrap_or_default();
    info!("pid {} (before {}) executes {}", event.pid, event.old_pid, String::from_utf8_lossy(name));
}
