//! The XDP program in the kernel (BPF_PROG_TEST_RUN) against the parser in user space, on the same packets.
//! Needs root: `cargo test -p ebpflab --test test_run -- --ignored`.

#[path = "../../common/tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../common/tests/packets/mod.rs"]
mod packets;
#[path = "../../common/tests/fuzz/reference.rs"]
mod reference;

use std::collections::HashMap;

use ebpflab::{
    bpf::{Object, Opener, Target, XdpMode},
    objects,
};
use ebpflab_common::{
    flows::Flow,
    ledger::Ledger,
    packet::{Protocol, Traffic, classify},
    xdp::Stage,
};
use mutate::Mutants;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

const PROGRAM: &str = "xdp_count";
const XDP_PASS: u32 = 2;
/// The smallest packet that the kernel runs a program on.
const ETH_HLEN: usize = 14;

/// Packets and bytes by protocol, all CPUs together.
fn counts(object: &Object) -> Vec<(u64, u64)> {
    let slots = object.per_cpu_array::<Traffic>("COUNTS").expect("readable");
    slots.iter().map(|cpus| cpus.iter().fold((0, 0), |sum, cpu| (sum.0 + cpu.packets, sum.1 + cpu.bytes))).collect()
}

fn open() -> Object {
    let mut object = Opener::new(objects::XDP).open().expect("root, and a kernel with XDP");
    for (stage, program) in [(Stage::Network, "xdp_network"), (Stage::Transport, "xdp_transport")] {
        object.put("STAGES", stage as u32, program, &Target::Xdp(0, XdpMode::Default)).expect("it loads");
    }
    object.set_word("ENABLED", 1).expect("writable");
    object
}

fn is_counted_as(object: &mut Object, frame: &[u8], expected: Protocol) {
    let mut wanted = counts(object);
    wanted[expected as usize].0 += 1;
    wanted[expected as usize].1 += frame.len() as u64;
    let run = object.test_run(PROGRAM, frame, 1).expect("runs");
    assert_eq!((run.value, run.packet.as_slice()), (XDP_PASS, frame));
    assert_eq!(counts(object), wanted, "{frame:02x?} is {expected:?}");
}

#[test]
#[ignore = "needs root"]
fn the_kernel_counts_known_packets_as_what_they_are() {
    let mut object = open();
    let mut runner = TestRunner::default();
    for _ in 0..3_000 {
        let known = packets::known().new_tree(&mut runner).expect("a packet").current();
        is_counted_as(&mut object, &known.frame, known.protocol);
    }
    let cpus = object.per_cpu_array::<Ledger>("LEDGER").expect("readable").concat();
    let sum = |term: fn(&Ledger) -> u64| cpus.iter().map(term).sum::<u64>();
    assert_eq!((sum(|l| l.seen), sum(|l| l.submitted)), (3_000, 3_000));
}

#[test]
#[ignore = "needs root"]
fn the_kernel_and_user_space_agree_on_damaged_and_cut_packets() {
    let mut object = open();
    let mut runner = TestRunner::default();
    let damaged = (
        packets::known(),
        any::<prop::sample::Index>(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    );
    for _ in 0..7_000 {
        let (known, cut, damage) = damaged.new_tree(&mut runner).expect("a packet").current();
        let mut frame = known.frame;
        frame.truncate(ETH_HLEN + cut.index(frame.len() - ETH_HLEN + 1));
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        let expected = classify(frame.as_slice());
        is_counted_as(&mut object, &frame, expected);
    }
}

/// Both programs that read packets, those of XDP and of tc, against the reference that the parser is held against too.
#[test]
#[ignore = "needs root"]
fn the_kernel_and_the_reference_agree_on_100_000_mutated_frames() {
    const FRAMES: usize = 100_000;
    let mut xdp = open();
    let mut flows = Opener::new(objects::FLOWS).max_entries("FLOWS", FRAMES as u32).open().expect("root");
    flows.set_word("ENABLED", 1).expect("writable");
    let mut mutants = Mutants::new(2_027, 1_500);
    let (mut wanted, mut by_flow) = (counts(&xdp), HashMap::<Flow, Traffic>::new());
    let mut frame = Vec::new();
    for _ in 0..FRAMES {
        mutants.next_into(&mut frame);
        frame.resize(frame.len().max(ETH_HLEN), 0);
        let expected = reference::truth(&frame, u16::from_be_bytes([frame[12], frame[13]]));
        let traffic = Traffic { packets: 1, bytes: frame.len() as u64 };
        wanted[expected.protocol as usize].0 += traffic.packets;
        wanted[expected.protocol as usize].1 += traffic.bytes;
        let run = xdp.test_run(PROGRAM, &frame, 1).expect("runs");
        assert_eq!((run.value, run.packet.as_slice()), (XDP_PASS, frame.as_slice()));
        assert_eq!(counts(&xdp), wanted, "{frame:02x?} is {expected:?}");
        if is_for_tc(&frame) {
            flows.test_run("flows_ingress", &frame, 1).expect("runs");
            by_flow.entry(expected.flow).or_default().add(traffic);
        }
    }
    let found: HashMap<_, _> = flows.hash_map::<Flow, Traffic>("FLOWS").expect("readable").into_iter().collect();
    for (flow, traffic) in &by_flow {
        assert_eq!(found.get(flow), Some(traffic), "{flow:?}");
    }
    assert_eq!(found.len(), by_flow.len());
    assert!(found.values().map(|traffic| traffic.packets).sum::<u64>() > FRAMES as u64 / 2);
}

/// Whether the kernel runs programs of tc on a frame: from 6.18 on it wants all of the IP header that is announced
/// (`bpf_prog_test_run_skb`, net/bpf/test_run.c).
fn is_for_tc(frame: &[u8]) -> bool {
    match frame[12..ETH_HLEN] {
        [0x08, 0x00] => frame.len() >= ETH_HLEN + 20,
        [0x86, 0xdd] => frame.len() >= ETH_HLEN + 40,
        _ => true,
    }
}

#[test]
#[ignore = "needs root"]
fn a_program_that_is_not_enabled_counts_nothing() {
    let mut object = open();
    object.set_word("ENABLED", 0).expect("writable");
    assert_eq!(object.test_run(PROGRAM, &[0; 64], 1).expect("runs").value, XDP_PASS);
    assert_eq!(counts(&object), [(0, 0); 5]);
    assert!(
        object.per_cpu_array::<Ledger>("LEDGER").expect("readable").concat().iter().all(|l| *l == Ledger::default())
    );
}

/// A packet whose next program is missing is counted as far as it is known, and that it was missing is counted too.
#[test]
#[ignore = "needs root"]
fn a_missing_stage_is_counted() {
    let known = packets::known().prop_filter("a transport", |known| known.protocol == Protocol::Tcp);
    let frame = known.new_tree(&mut TestRunner::default()).expect("a packet").current().frame;
    for stage in [Stage::Transport, Stage::Network] {
        let mut object = open();
        is_counted_as(&mut object, &frame, Protocol::Tcp);
        object.take_out("STAGES", stage as u32).expect("it is there");
        for lost in 1..=3 {
            is_counted_as(&mut object, &frame, Protocol::Other);
            assert_eq!(object.value::<u64>("STAGE_LOST").expect("readable"), Some(lost));
        }
        let cpus = object.per_cpu_array::<Ledger>("LEDGER").expect("readable").concat();
        let sum = |term: fn(&Ledger) -> u64| cpus.iter().map(term).sum::<u64>();
        assert_eq!((sum(|l| l.seen), sum(|l| l.submitted)), (4, 4));
    }
}

/// A tree that has room for one process, this one: without telling the loader it has no more.
#[test]
#[ignore = "needs root"]
fn a_process_that_finds_no_room_in_a_tree_is_counted() {
    let mut object = Opener::new(objects::COUNT).open().expect("root");
    let own = std::process::id();
    object.insert("TREE", own, 0_u8).expect("room for one");
    object.attach("tree_fork", &Target::RawTracepoint("sched_process_fork".into())).expect("a kernel with tracepoints");
    object.attach("tree_exit", &Target::RawTracepoint("sched_process_exit".into())).expect("a kernel with tracepoints");
    for lost in 1..=3 {
        assert!(std::process::Command::new("/bin/true").status().expect("it is there").success());
        assert_eq!(object.value::<u64>("TREE_LOST").expect("readable"), Some(lost));
    }
    assert!(object.has_key("TREE", own).expect("readable"));
    object.remove::<u32, u8>("TREE", own).expect("writable");
    assert!(std::process::Command::new("/bin/true").status().expect("it is there").success());
    assert_eq!(object.value::<u64>("TREE_LOST").expect("readable"), Some(3), "whoever is in no tree has no room in it");
}
