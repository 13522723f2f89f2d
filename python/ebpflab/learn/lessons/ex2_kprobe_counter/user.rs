//! Loads the program, attaches it, and logs its counts every two seconds: `RUST_LOG=info cargo run`

use std::{cmp::Reverse, path::Path, process::ExitCode, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
// <only kprobe>
use aya::programs::KProbe;
// </only>
// <only raw_tracepoint>
//| use aya::programs::RawTracePoint;
// </only>
use aya::{Ebpf, include_bytes_aligned, maps::HashMap};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ex2_kprobe_counter"));
/// How many processes are told.
const SHOWN: usize = 10;

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
    let program: &mut KProbe = ebpf.program_mut("counted").context("the object has no program counted")?.try_into()?;
    program.load()?;
    program.attach("do_sys_openat2", 0)?;
    // </only>
    // <only raw_tracepoint>
    //| let program: &mut RawTracePoint = ebpf.program_mut("counted").context("no program counted")?.try_into()?;
    //| program.load()?;
    //| program.attach("sys_enter")?;
    // </only>
    let counts: HashMap<_, u32, u64> = HashMap::try_from(ebpf.map("COUNTS").context("the object has no map COUNTS")?)?;
    info!("attached; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        // An entry may go while the map is read; that ends nothing.
        let mut busiest: Vec<_> = counts.iter().filter_map(Result::ok).collect();
        busiest.sort_by_key(|(pid, count)| (Reverse(*count), *pid));
        for (pid, count) in busiest.into_iter().take(SHOWN) {
            info!("pid {pid} opened {count} files");
        }
    }
}
