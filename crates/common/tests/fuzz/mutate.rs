//! Frames that somebody changed: from known ones, by dice that fall the same every time.

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::packets::known;

/// Numbers that mean something in a header: versions and lengths, types, protocols, the largest and the smallest.
const TELLING: [u8; 22] =
    [0, 1, 4, 5, 6, 8, 17, 43, 44, 0x45, 0x4f, 51, 58, 59, 60, 0x60, 0x81, 0x86, 0x88, 135, 0xdd, 0xff];

/// A generator of numbers (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }
}

/// Mutated frames without end, none longer than it may be.
pub(crate) struct Mutants {
    dice: Dice,
    seeds: Vec<Vec<u8>>,
    longest: usize,
}

impl Mutants {
    /// The same for the same number.
    pub(crate) fn new(number: u64, longest: usize) -> Self {
        const SEEDS: usize = 2_000;
        let mut runner = TestRunner::deterministic();
        let seed = |_| known().new_tree(&mut runner).expect("a frame").current().frame;
        Self { dice: Dice(number), seeds: (0..SEEDS).map(seed).collect(), longest }
    }

    /// Makes the next one.
    pub(crate) fn next_into(&mut self, frame: &mut Vec<u8>) {
        let Self { dice, seeds, longest } = self;
        frame.clone_from(&seeds[dice.below(seeds.len())]);
        for _ in 0..=dice.below(4) {
            mutate(dice, seeds, frame);
        }
        if *longest > 0x1_0000 && dice.below(10_000) == 0 {
            // Too long to state its length, where zero stands instead: of IPv4, or of IPv6.
            frame.resize(0x1_0000 + dice.below(200), 0);
            let at = [16, 18][dice.below(2)];
            frame[at..at + 2].fill(0);
        }
        frame.truncate(*longest);
    }
}

fn mutate(dice: &mut Dice, seeds: &[Vec<u8>], frame: &mut Vec<u8>) {
    // Mostly in the headers.
    let at = if dice.below(4) == 0 { dice.below(frame.len()) } else { dice.below(frame.len().min(64)) };
    match dice.below(9) {
        0 => change(frame, at, |_| dice.roll() as u8),
        1 => change(frame, at, |_| TELLING[dice.below(TELLING.len())]),
        2 => change(frame, at, |byte| byte ^ 1 << dice.below(8)),
        3 => change(frame, at, |byte| byte.wrapping_add([1, 255][dice.below(2)])),
        // A word, as lengths and types are.
        4 => {
            change(frame, at, |_| 0);
            change(frame, at + 1, |_| dice.below(80) as u8);
        }
        5 => frame.truncate(dice.below(frame.len() + 1)),
        6 => frame.extend((0..dice.below(40)).map(|_| dice.roll() as u8)),
        // Another tag or extension header, or anything.
        7 => {
            let piece: Vec<u8> = frame.iter().skip(at).take([4, 8, 16][dice.below(3)]).copied().collect();
            frame.splice(at..at, piece);
        }
        _ => {
            let other = &seeds[dice.below(seeds.len())];
            frame.truncate(at);
            frame.extend(other.iter().skip(at));
        }
    }
}

fn change(frame: &mut [u8], at: usize, to: impl FnOnce(u8) -> u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = to(*byte);
    }
}
