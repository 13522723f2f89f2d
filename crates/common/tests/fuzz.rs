//! A million frames that somebody changed, through both ways to read frames and a reference that reads in another way.
//! (crates/loader/tests/test_run.rs has such frames through the kernel.)

#[path = "fuzz/mutate.rs"]
mod mutate;
mod packets;
#[path = "fuzz/reference.rs"]
mod reference;

use ebpflab_common::{
    flows::{Direction, flow},
    packet::{Protocol, classify},
};
use mutate::Mutants;
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use reference::{Truth, truth};

const FRAMES: usize = 1_000_000;
/// What the kernel would say that all of them are.
const SAID: u16 = 0x1234;

#[test]
fn the_reference_tells_known_frames() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..20_000 {
        let known = packets::known().new_tree(&mut runner).expect("a frame").current();
        assert_eq!(truth(&known.frame, 0).protocol, known.protocol, "{:02x?}", known.frame);
    }
}

#[test]
fn the_parser_and_the_reference_agree_on_a_million_mutated_frames() {
    let mut mutants = Mutants::new(2_026, 70_000);
    let mut frame = Vec::new();
    let (mut by_protocol, mut with_ports, mut long) = ([0; Protocol::ALL.len()], 0, 0);
    for number in 0..FRAMES {
        mutants.next_into(&mut frame);
        let bytes = frame.as_slice();
        let read = Truth { protocol: classify(bytes), flow: flow(bytes, true, SAID, 0, Direction::Ingress) };
        let expected = truth(bytes, SAID);
        assert_eq!(read, expected, "frame {number}: {bytes:02x?}");
        by_protocol[expected.protocol as usize] += 1;
        with_ports += usize::from(expected.flow.has_ports);
        long += usize::from(bytes.len() >= 0x1_0000);
    }
    // They are of all kinds, whole and broken.
    assert!(by_protocol.iter().all(|count| *count > FRAMES / 50), "{by_protocol:?}");
    assert!(with_ports > FRAMES / 25 && long > FRAMES / 20_000, "{with_ports} with ports, {long} long");
}
