//! Loads the program with two rules, and logs their counts every two seconds: `RUST_LOG=info cargo run [INTERFACE]`

use std::{env, fmt::Write as _, net::Ipv4Addr, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, include_bytes_aligned,
    maps::{
        PerCpuArray,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{Xdp, XdpMode},
};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lpm_trie"));
/// An address, how many of its bits, and the number of the rule.
const RULES: [(Ipv4Addr, u32, u32); 2] = [(Ipv4Addr::new(127, 0, 0, 0), 8, 1), (Ipv4Addr::LOCALHOST, 32, 2)];

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
    let interface = env::args().nth(1).unwrap_or_else(|| "lo".to_owned());
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    let mut rules: LpmTrie<_, [u8; 4], u32> =
        LpmTrie::try_from(ebpf.map_mut("RULES").context("the object has no map RULES")?)?;
    for (address, bits, number) in RULES {
        rules.insert(&Key::new(bits, address.octets()), number, 0)?;
    }
    let program: &mut Xdp = ebpf.program_mut("count_rules").context("no program count_rules")?.try_into()?;
    program.load()?;
    program.attach(&interface, XdpMode::default()).with_context(|| format!("cannot attach to {interface}"))?;
    let hits: PerCpuArray<_, u64> = PerCpuArray::try_from(ebpf.map("HITS").context("the object has no map HITS")?)?;
    info!("attached to {interface}; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        // Each CPU has its own.
        let total = |number| hits.get(&number, 0).map(|all| all.iter().sum::<u64>());
        let mut told = format!("no rule {}", total(0)?);
        for (address, bits, number) in RULES {
            write!(told, " {address}/{bits} {}", total(number)?)?;
        }
        info!("{told}");
    }
}
