//! Loads the program for a process, and logs every two seconds what was lost: `RUST_LOG=info cargo run PID`

use std::{env, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    EbpfLoader, include_bytes_aligned,
    maps::{Array, RingBuf},
    programs::RawTracePoint,
};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/loss_accounting"));

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
    let target: Option<u32> = env::args().nth(1).and_then(|pid| pid.parse().ok());
    let target = target.context("say which process to watch, by its id: cargo run PID")?;
    let mut ebpf = EbpfLoader::new()
        .override_global("TARGET", &target, true)
        .load(OBJECT)
        .context("cannot load the object; are you root?")?;
    let program: &mut RawTracePoint =
        ebpf.program_mut("opened").context("the object has no program opened")?.try_into()?;
    program.load()?;
    program.attach("sys_enter").context("cannot attach to the raw tracepoint sys_enter")?;
    let mut events = RingBuf::try_from(ebpf.map("EVENTS").context("the object has no map EVENTS")?)?;
    let ledger: Array<_, u64> = Array::try_from(ebpf.map("LEDGER").context("the object has no map LEDGER")?)?;
    info!("attached; Ctrl-C ends it");
    let mut received = 0;
    loop {
        thread::sleep(Duration::from_secs(2));
        while events.next().is_some() {
            received += 1;
        }
        let (seen, submitted, dropped) = (ledger.get(&0, 0)?, ledger.get(&1, 0)?, ledger.get(&2, 0)?);
        info!("seen {seen} = submitted {submitted} + dropped {dropped}; received {received}");
    }
}
