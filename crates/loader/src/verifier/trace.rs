//! What happened on the way to an instruction: where registers got what is in them, and which jumps were taken.

use super::log::Step;

/// Registers that the kernel's calling convention takes away at a call.
const CALLER_SAVED: std::ops::RangeInclusive<u8> = 1..=5;
/// Most steps of one register's history: those next to the refusal.
const MOST: usize = 12;

/// What an instruction does, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
enum Effect {
    /// A register gets a new value.
    Set {
        register: u8,
        from: Origin,
    },
    /// A register is calculated with.
    Change {
        register: u8,
    },
    /// A word of the stack gets a value.
    Store {
        slot: i32,
        from: Option<u8>,
    },
    /// Registers are compared.
    Compare {
        registers: Vec<u8>,
    },
    /// A helper or a function of the kernel is called.
    Call,
    /// A function of the program is called.
    Enter,
    /// A function of the program, or the program, returns.
    Exit,
    Other,
}

#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Register(u8),
    Slot(i32),
    Elsewhere,
}

/// `r6`, or `w6` for its lower half.
fn register(text: &str) -> Option<u8> {
    let digits = text.trim().trim_end_matches([',', ')']).strip_prefix(['r', 'w'])?;
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    (number <= 10).then_some(number)
}

/// The offset in `*(u64 *)(r10 -8)`.
fn slot(text: &str) -> Option<i32> {
    let (_, offset) = text.split_once("(r10 ")?;
    offset.split_once(')')?.0.trim_start_matches('+').parse().ok()
}

/// All registers that an instruction names.
pub(super) fn registers(text: &str) -> Vec<u8> {
    let mut found = Vec::new();
    for word in text.split(|char: char| !char.is_ascii_alphanumeric()) {
        if let Some(number) = register(word)
            && !found.contains(&number)
        {
            found.push(number);
        }
    }
    found
}

fn effect(text: &str) -> Effect {
    if let Some(callee) = text.strip_prefix("call ") {
        return if callee.starts_with("pc") { Effect::Enter } else { Effect::Call };
    }
    if text == "exit" {
        return Effect::Exit;
    }
    if let Some(condition) = text.strip_prefix("if ") {
        let condition = condition.split_once(" goto").map_or(condition, |(condition, _)| condition);
        return Effect::Compare { registers: registers(condition) };
    }
    let Some((left, right)) = text.split_once(" = ") else {
        let register = text.split(' ').next().and_then(register);
        return register.map_or(Effect::Other, |register| Effect::Change { register });
    };
    match register(left) {
        Some(register) => Effect::Set { register, from: source(right) },
        None => slot(left).map_or(Effect::Other, |slot| Effect::Store { slot, from: register(right) }),
    }
}

fn source(right: &str) -> Origin {
    match (register(right), slot(right)) {
        (Some(register), _) => Origin::Register(register),
        (None, Some(slot)) => Origin::Slot(slot),
        (None, None) => Origin::Elsewhere,
    }
}

/// What is followed back: what is in a register, or on the stack.
#[derive(Clone, Copy)]
enum Followed {
    Register(u8),
    Slot(i32),
}

/// The steps before `end` that made the content of a register what it is, in their order: comparisons, calculations,
/// copies, and where it comes from.
pub(super) fn history(steps: &[Step<'_>], end: usize, of: u8) -> Vec<usize> {
    let mut found = Vec::new();
    let mut followed = Followed::Register(of);
    // How many calls deeper than what is followed this is: what happens there leaves it as it is.
    let mut deeper = 0u32;
    for (at, step) in steps.iter().enumerate().take(end).rev() {
        let effect = effect(step.text);
        match effect {
            Effect::Exit if !matches!(followed, Followed::Register(0)) => {
                deeper += 1;
                continue;
            }
            Effect::Enter if deeper > 0 => {
                deeper -= 1;
                continue;
            }
            _ if deeper > 0 => continue,
            _ => {}
        }
        match (followed, effect) {
            (Followed::Register(of), Effect::Set { register, from }) if register == of => {
                found.push(at);
                match from {
                    Origin::Register(other) => followed = Followed::Register(other),
                    Origin::Slot(slot) => followed = Followed::Slot(slot),
                    Origin::Elsewhere => break,
                }
            }
            (Followed::Register(of), Effect::Change { register }) if register == of => found.push(at),
            (Followed::Register(of), Effect::Compare { registers }) if registers.contains(&of) => found.push(at),
            (Followed::Register(of), Effect::Call) if of == 0 || CALLER_SAVED.contains(&of) => {
                found.push(at);
                break;
            }
            // The arguments are the caller's registers; all else of a function is its own.
            (Followed::Register(of), Effect::Enter) if !CALLER_SAVED.contains(&of) => break,
            (Followed::Slot(of), Effect::Store { slot, from }) if slot == of => {
                found.push(at);
                match from {
                    Some(other) => followed = Followed::Register(other),
                    None => break,
                }
            }
            (Followed::Slot(_), Effect::Enter) => break,
            _ => {}
        }
    }
    found.reverse();
    // Where it comes from, and what happened last.
    if found.len() > MOST {
        found.drain(1..found.len() - MOST + 1);
    }
    found
}

/// A jump on the way: the step, and whether it was taken; `None` for one without a condition.
pub(super) fn jumps(steps: &[Step<'_>], end: usize) -> Vec<(usize, Option<bool>)> {
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate().take(end) {
        let next = steps.get(at + 1).map(|next| next.index);
        let falls_through = next == Some(step.index.saturating_add(1));
        match effect(step.text) {
            Effect::Compare { .. } => found.push((at, Some(!falls_through))),
            Effect::Enter => found.push((at, None)),
            Effect::Other if step.text.starts_with("goto ") => found.push((at, None)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::log::Log, *};

    fn texts(log: &str, end: usize, of: u8) -> Vec<String> {
        let log = Log::parse(log);
        history(&log.steps, end, of).into_iter().map(|at| log.steps[at].text.to_owned()).collect()
    }

    #[test]
    fn a_register_is_followed_through_copies_and_the_stack() {
        let log = "0: (85) call bpf_ktime_get_ns#5\n1: (7b) *(u64 *)(r10 -8) = r0\n2: (b7) r3 = 1\n\
            3: (79) r2 = *(u64 *)(r10 -8)\n4: (bf) r6 = r2\n5: (07) r6 += 4\n6: (25) if r6 > 0xff goto pc+2\n7: (95) exit";
        let expected = [
            "call bpf_ktime_get_ns#5",
            "*(u64 *)(r10 -8) = r0",
            "r2 = *(u64 *)(r10 -8)",
            "r6 = r2",
            "r6 += 4",
            "if r6 > 0xff goto pc+2",
        ];
        assert_eq!(texts(log, 7, 6), expected);
    }

    #[test]
    fn a_function_that_was_called_leaves_registers_as_they_are() {
        let log = "0: (b7) r6 = 1\n1: (85) call pc+2\n4: (b7) r6 = 7\n5: (b7) r0 = 3\n6: (95) exit\n2: (0f) r6 += r0";
        assert_eq!(texts(log, 5, 6), ["r6 = 1"]);
        assert_eq!(texts(log, 5, 0), ["r0 = 3"]);
    }

    #[test]
    fn a_long_history_keeps_its_beginning_and_its_end() {
        let changes: String = (1..40).map(|at| format!("{at}: (07) r1 += {at}\n")).collect();
        let told = texts(&format!("0: (b7) r1 = 0\n{changes}"), 40, 1);
        assert_eq!(told.len(), MOST);
        assert_eq!((told[0].as_str(), told[MOST - 1].as_str()), ("r1 = 0", "r1 += 39"));
    }

    #[test]
    fn jumps_are_taken_where_the_next_instruction_is_not_the_next() {
        let log = Log::parse(
            "0: (15) if r0 == 0x0 goto pc+1\n2: (55) if r1 != 0x0 goto pc+5\n3: (05) goto pc+1\n5: (95) exit",
        );
        assert_eq!(jumps(&log.steps, 3), [(0, Some(true)), (1, Some(false)), (2, None)]);
    }
}
