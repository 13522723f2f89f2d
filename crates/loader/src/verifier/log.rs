//! What stands in a verifier's log, line by line. Kernels from 5.10 on write the instructions on the way to the one that
//! is refused, from some version on with the states of registers and the lines of the source beside them, then the
//! reason. 7.3 tells more about some reasons, in sections of their own.

use std::collections::BTreeMap;

/// A log that was taken apart.
#[derive(Debug, Default)]
pub(super) struct Log<'a> {
    /// The instructions, in the order in which the verifier went through them.
    pub(super) steps: Vec<Step<'a>>,
    /// Lines that are none of the others: the reason is among them, mostly the last.
    pub(super) messages: Vec<Message<'a>>,
    /// What stands under each header of 7.3, `Reason`, `At`, `Causal path` and `Suggestion`.
    pub(super) sections: BTreeMap<&'a str, Vec<&'a str>>,
    /// Whether its end is there: the kernel's statistics.
    pub(super) is_whole: bool,
}

/// A line that may be the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) text: &'a str,
    /// How many instructions stand before it.
    pub(super) after: usize,
}

/// An instruction that the verifier went through.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) index: u32,
    pub(super) text: &'a str,
    /// States of registers before it, where the log has them.
    pub(super) before: Option<&'a str>,
    /// States of the registers that it changed.
    pub(super) after: Option<&'a str>,
    /// The line of the source that the log gives for it: text, and file and line from 6.9 on.
    pub(super) source: Option<Source<'a>>,
}

/// A line of the source, as a log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) place: Option<(&'a str, u32)>,
}

pub(super) const REASON: &str = "Reason";
pub(super) const CAUSAL_PATH: &str = "Causal path";
pub(super) const SUGGESTION: &str = "Suggestion";
const SECTIONS: [&str; 4] = [REASON, "At", CAUSAL_PATH, SUGGESTION];
/// How the line starts that 7.3 has before its sections; the reason as older kernels word it stands above it.
const HEADLINE: &str = "Verification failed: ";

/// How lines start that say nothing about why.
const NOISE: &[&str] = &[
    "Func#",
    "Live regs before insn:",
    "Unrecognized arg#",
    "Validating ",
    "callee:",
    "caller:",
    "cur state:",
    "from ",
    "func#",
    "last_idx ",
    "mark_precise:",
    "old state:",
    "parent ",
    "propagating ",
    "regs=",
    "returning from callee:",
    "stack depth ",
    "subprog ",
    "to caller at ",
    "verification time ",
];

impl<'a> Log<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut log = Self::default();
        let mut source = None;
        let mut state = None;
        let mut section = None;
        for raw in text.lines() {
            let line = raw.trim();
            if line.starts_with("processed ") || line.starts_with("verification time ") {
                log.is_whole = true;
                section = None;
            } else if let Some(name) = section_name(line) {
                section = Some(name);
                log.sections.entry(name).or_default();
            } else if let Some(name) = section {
                log.sections.entry(name).or_default().push(raw.trim_end());
                // The others have empty lines inside.
                if line.is_empty() && (name == REASON || name == SUGGESTION) {
                    section = None;
                }
            } else if let Some((index, text, rest)) = instruction(line) {
                let (before, after) = (state.take(), states(rest));
                log.steps.push(Step { index, text, before, after, source });
                if let Some(next) = rest.strip_prefix("; ").filter(|_| after.is_none()) {
                    source = Some(source_line(next));
                } else if after.is_none() && !rest.is_empty() && !rest.starts_with(';') {
                    // Of a loop without an end the reason stands behind the jump back.
                    log.messages.push(Message { text: rest, after: log.steps.len() });
                }
            } else if let Some(line) = line.strip_prefix(';') {
                source = Some(source_line(line.trim()));
            } else if let Some(found) = states(line) {
                state = Some(found);
            } else if !line.is_empty() && !is_noise(line) {
                log.messages.push(Message { text: line, after: log.steps.len() });
            }
        }
        log
    }

    /// A section of one paragraph, as one line.
    pub(super) fn paragraph(&self, section: &str) -> Option<String> {
        let lines = self.sections.get(section)?;
        let lines: Vec<_> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        (!lines.is_empty()).then(|| lines.join(" "))
    }

    /// A section as it stands there, without what all its lines are indented by.
    pub(super) fn section(&self, section: &str) -> Option<String> {
        let lines: Vec<_> =
            self.sections.get(section)?.iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let text = lines.join("\n");
        Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
    }

    /// Lines that may be the reason in a kernel's own words, the last first.
    pub(super) fn reasons(&self) -> impl Iterator<Item = Message<'a>> {
        self.messages.iter().rev().filter(|message| !message.text.starts_with(HEADLINE)).copied()
    }
}

fn is_noise(line: &str) -> bool {
    // `arg#0 type is not a struct`: only a remark, unless something else was expected.
    let is_remark = line.starts_with("arg#") && !line.contains(" expected ");
    is_remark || NOISE.iter().any(|start| line.starts_with(start))
}

fn section_name(line: &str) -> Option<&str> {
    let name = line.strip_suffix(':')?;
    SECTIONS.contains(&name).then_some(name)
}

/// `12: (85) call bpf_map_lookup_elem#1        ; R0_w=map_value_or_null(...)`: number, text, and what stands behind it,
/// which is the states of registers or a line of the source. A jump may have states behind it without a semicolon.
fn instruction(line: &str) -> Option<(u32, &str, &str)> {
    let (index, rest) = line.split_once(": (")?;
    let (code, rest) = rest.split_once(") ")?;
    if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let index = number(index)?;
    let end = match rest.find("goto pc") {
        Some(jump) => {
            let target = jump + "goto ".len();
            rest[target..].find(' ').map(|space| target + space)
        }
        None => rest.find(';'),
    };
    let (text, behind) = rest.split_at(end.unwrap_or(rest.len()));
    Some((index, text.trim(), behind.trim()))
}

/// `if key.time == 0 { @ zoo.rs:12`; kernels before 6.9 do not tell the place.
fn source_line(line: &str) -> Source<'_> {
    let place = line.rsplit_once("@ ").and_then(|(text, place)| {
        let (file, number) = place.rsplit_once(':')?;
        Some((text.trim(), (file, number.parse().ok()?)))
    });
    match place {
        Some((text, place)) => Source { text, place: Some(place) },
        None => Source { text: line, place: None },
    }
}

/// The states in `12: R0=... R10=fp0`, `from 3 to 5: R0=...` or ` frame1: R6=...`.
fn states(line: &str) -> Option<&str> {
    let is_state = |text: &str| {
        let mut words = text.split([' ', ':']);
        words.any(|word| word.split_once('=').is_some_and(|(name, _)| register(name).is_some()))
    };
    let line = line.strip_prefix("; ").unwrap_or(line);
    let rest = match line.split_once(": ") {
        Some((start, rest)) if number(start).is_some() || start.starts_with("from ") || is_frame(start) => rest.trim(),
        _ => line,
    };
    let first = rest.split([' ', ':']).next()?;
    let starts_well = is_frame(first) || first.split_once('=').is_some_and(|(name, _)| register(name).is_some());
    (starts_well && is_state(rest)).then_some(rest)
}

fn is_frame(word: &str) -> bool {
    word.strip_prefix("frame").and_then(number).is_some()
}

/// The number of a register as states name it: `R6`, or `R6_w` where it was written since the last checkpoint.
fn register(name: &str) -> Option<u8> {
    let name = name.split_once('_').map_or(name, |(name, _)| name);
    let number: u8 =
        name.strip_prefix('R').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    (number <= 10).then_some(number)
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The state of a register among others: `scalar(umax=255)` in `R0=ctx() R1_w=scalar(umax=255) R10=fp0`.
pub(super) fn state_of(states: &str, wanted: u8) -> Option<&str> {
    let mut at = 0;
    while let Some(found) = states[at..].find('R') {
        let start = at + found;
        at = start + 1;
        let is_word = start == 0 || states[..start].ends_with([' ', ':']);
        let Some((name, value)) = states[start..].split_once('=').filter(|_| is_word) else { continue };
        if register(name) == Some(wanted) {
            return Some(&value[..value_len(value)]);
        }
    }
    None
}

/// Up to the first space that is in no brackets.
fn value_len(value: &str) -> usize {
    let mut depth = 0u32;
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 => return at,
            _ => {}
        }
    }
    value.len()
}
