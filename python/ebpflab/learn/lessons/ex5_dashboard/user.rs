//! Loads both programs, attaches them, and logs what they tell: `RUST_LOG=info cargo run`

mod common;

use std::{path::Path, process::ExitCode, ptr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
// <only kprobe>
use aya::programs::KProbe;
// </only>
// <only raw_tracepoint>
//| use aya::programs::RawTracePoint;
// </only>
use aya::{Ebpf, include_bytes_aligned, maps::RingBuf, programs::TracePoint};
use common::{ActivityEvent, EXEC, OPEN};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ex5_dashboard"));

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
    ensure!(
        ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"]
            .iter()
            .any(|folder| Path::new(folder).exists()),
        "tracefs is not mounted, so there are no tracepoints; mount -t tracefs tracefs /sys/kernel/tracing"
    );
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    // <only kprobe>
    let program: &mut KProbe = ebpf.program_mut("opened").context("the object has no program opened")?.try_into()?;
    program.load()?;
    program.attach("do_sys_openat2", 0)?;
    // </only>
    // <only raw_tracepoint>
    //| let program: &mut RawTracePoint = ebpf.program_mut("opened").context("no program opened")?.try_into()?;
    //| program.load()?;
    //| program.attach("sys_enter")?;
    // </only>
    let program: &mut TracePoint = ebpf.program_mut("executed").context("no program executed")?.try_into()?;
    program.load()?;
    program.attach("sched", "sched_process_exec")?;
    let mut events = RingBuf::try_from(ebpf.map_mut("EVENTS").context("the object has no map EVENTS")?)?;
    info!("attached; Ctrl-C ends it");
    loop {
        while let Some(record) = events.next() {
            ensure!(record.len() >= size_of::<ActivityEvent>(), "a record is shorter than an ActivityEvent");
            // SAFETY: it is as long, and any bytes are an ActivityEvent.
            let event: ActivityEvent = unsafe { ptr::read_unaligned(record.as_ptr().cast()) };
            let what = match event.kind {
                OPEN => "open",
                EXEC => "exec",
                _ => "what?",
            };
            info!("{what} pid {} {} {}", event.pid, text(&event.comm), text(&event.name));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What is before the first zero byte.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
