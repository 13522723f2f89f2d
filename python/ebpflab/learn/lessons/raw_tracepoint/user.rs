//! Loads the program, attaches it, and logs the most frequent calls every two seconds: `RUST_LOG=info cargo run`

mod common;

use std::{cmp::Reverse, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{Ebpf, Pod, include_bytes_aligned, maps::HashMap, programs::RawTracePoint};
use common::Call;
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/raw_tracepoint"));
/// How many calls are told.
const SHOWN: usize = 10;

// SAFETY: it is two numbers without a gap, so any bytes are a Call.
unsafe impl Pod for Call {}

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
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    let program: &mut RawTracePoint =
        ebpf.program_mut("called").context("the object has no program called")?.try_into()?;
    program.load()?;
    program.attach("sys_enter").context("cannot attach to the raw tracepoint sys_enter")?;
    let counts: HashMap<_, Call, u64> = HashMap::try_from(ebpf.map("COUNTS").context("the object has no map COUNTS")?)?;
    info!("attached; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        let mut busiest = counts.iter().collect::<Result<Vec<_>, _>>()?;
        busiest.sort_by_key(|(_, count)| Reverse(*count));
        for (call, count) in busiest.into_iter().take(SHOWN) {
            info!("pid {} made system call {} {count} times", call.pid, call.number);
        }
    }
}
