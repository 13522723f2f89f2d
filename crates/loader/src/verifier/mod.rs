//! Why a program was refused: a verifier's log as a typed explanation, in the terms of the program's source.
//!
//! Nothing here fails, and nothing is made up: what a log does not tell is left out, and a log of no known kind is handed
//! on whole.

mod kinds;
mod lines;
mod log;
mod trace;
pub mod zoo;

pub(crate) use lines::Lines;
use log::{CAUSAL_PATH, Log, Message, REASON, SUGGESTION};

pub use kinds::{Cause, KINDS, Kind, UNKNOWN};

use crate::{
    bpf,
    error::{Error, Result},
    schema::record,
};

/// Most jumps of a path that are told: the last ones.
const MOST_JUMPS: usize = 16;

record! {
    /// Why the verifier refused a program.
    pub struct Explanation = "explanation" {
        /// The kind of refusal, by its stable name in docs/verifier.md; `unknown` where the log is of none of them.
        pub kind: &'static str,
        /// The kind in a few words.
        pub title: &'static str,
        /// Where the cause is: `environment` (the kernel, its settings, what the process may do), `program` or `unknown`.
        pub cause: &'static str,
        /// Name of the program; null where only a log was given.
        pub program: Option<String>,
        /// What could not be proved, in the words of the verifier: its message, or from 7.3 on its paragraph where it has one.
        pub reason: String,
        /// What that means.
        pub meaning: &'static str,
        /// What mends it, in the terms of aya.
        pub fix: &'static str,
        /// What the kernel itself suggests (from 7.3 on, for some refusals); null elsewhere.
        pub suggestion: Option<String>,
        /// How it came to that in the kernel's own words (from 7.3 on, for some refusals), on several lines; null elsewhere.
        pub causal_path: Option<String>,
        /// The instruction that was refused; null where the log names none.
        pub at: Option<ExplainedStep>,
        /// The jumps and calls that led there, the last 16 of them.
        pub path: Vec<ExplainedStep>,
        /// How many jumps and calls led there in all.
        pub jumps: u32,
        /// The registers that the refusal is about.
        pub registers: Vec<RegisterHistory>,
        /// The whole log, of a refusal whose kind is not known; null for all others.
        pub log: Option<String>,
    }

    /// An instruction on the way to a refusal.
    pub struct ExplainedStep {
        /// Its number in the program.
        pub instruction: u32,
        /// The instruction as the kernel writes it; null where the log does not list it.
        pub text: Option<String>,
        /// The line of the source that it comes from; where that is in a library, the nearest line of the program's own. Null where nothing tells it.
        pub source: Option<SourceLine>,
        /// The line of the library that it comes from, which is called or inlined near `source`; null for the program's own lines.
        pub library: Option<SourceLine>,
        /// Of a jump: `taken` or `not taken`. Of a step in a register's history: what the verifier knew of the register afterwards. Null where the log does not tell.
        pub note: Option<String>,
    }

    /// A line of the source of a program.
    pub struct SourceLine {
        /// The file, as the compiler named it; only the name of the file itself where it comes from the kernel's log.
        pub file: String,
        /// The line, from 1 on.
        pub line: u32,
        /// The text of that line, where the object has it; else empty.
        pub text: String,
    }

    /// A register that a refusal is about.
    pub struct RegisterHistory {
        /// Its name: `R0` to `R10`.
        pub register: String,
        /// What the verifier knew of it; null where the log does not tell.
        pub state: Option<String>,
        /// The instructions that made it so, at most 12, in their order.
        pub history: Vec<ExplainedStep>,
    }
}

impl SourceLine {
    /// Whether it is in a file of the program's author: not in a crate out of a registry, nor in Rust's own library.
    fn is_own(&self) -> bool {
        const LIBRARIES: [&str; 5] =
            ["/registry/", "/git/checkouts/", "/library/core/", "/library/alloc/", "/compiler_builtins/"];
        self.line != 0 && !LIBRARIES.iter().any(|library| self.file.contains(library))
    }
}

/// Explains a log, as the kernel or a loader that quotes it has written it.
pub fn explain(log: &str) -> Explanation {
    explain_program(log, None, None)
}

/// The same with the lines of the object that was loaded; of which of its programs has to be said where it has several.
///
/// # Errors
/// [`Error::Object`] for a file that is none, [`Error::InvalidArgument`] where it has no such program, or several.
pub fn explain_with(log: &str, elf: &[u8], program: Option<String>) -> Result<Explanation> {
    let mut names = bpf::program_names(elf)?;
    names.sort();
    let program = match (program, names.as_slice()) {
        (Some(name), _) if names.contains(&name) => name,
        (None, [name]) => name.clone(),
        (wanted, _) => {
            let what = wanted.map_or("say which of its programs it was".to_owned(), |name| format!("it has no {name}"));
            return Err(Error::InvalidArgument(format!("{what}; those of the object are {}", names.join(", "))));
        }
    };
    Ok(explain_program(log, Some(&program), Lines::of(elf, &program).as_ref()))
}

/// The same with what is known of the program.
pub(crate) fn explain_program(text: &str, program: Option<&str>, lines: Option<&Lines>) -> Explanation {
    let log = Log::parse(text);
    let found = classify(&log);
    let kind = found.map_or(&UNKNOWN, |(kind, _)| kind);
    let message = found.map(|(_, message)| message);
    let view = View { log: &log, lines };
    let at = view.at(kind, message);
    let end = at.as_ref().and_then(|at| view.last_step(at.instruction)).unwrap_or(log.steps.len());
    let jumps = trace::jumps(&log.steps, end);
    let path = jumps.iter().rev().take(MOST_JUMPS).rev().map(|(step, taken)| {
        let note = taken.map(|taken| if taken { "taken" } else { "not taken" }.to_owned());
        view.step(*step, note)
    });
    Explanation {
        kind: kind.id,
        title: kind.title,
        cause: kind.cause.name(),
        program: program.map(str::to_owned),
        reason: log.paragraph(REASON).or(message.map(|it| it.text.to_owned())).unwrap_or_else(|| reason(&log)),
        meaning: kind.meaning,
        fix: kind.fix,
        suggestion: log.paragraph(SUGGESTION),
        causal_path: log.section(CAUSAL_PATH),
        path: path.collect(),
        jumps: jumps.len() as u32,
        registers: view.registers(message, end),
        at,
        log: found.is_none().then(|| text.to_owned()),
    }
}

/// The kind of a log, and the line that says so. What stands behind the last instruction comes first: kernels and loaders
/// write other things before.
fn classify<'a>(log: &Log<'a>) -> Option<(&'static Kind, Message<'a>)> {
    let is_last = |message: &Message<'_>| !log.steps.is_empty() && message.after == log.steps.len();
    of_one_kind(log.reasons().filter(is_last)).or_else(|| of_one_kind(log.reasons()))
}

/// The first kind, in the order of the table, that one of the messages is of; of several such the message that names an
/// instruction, else the first of them.
fn of_one_kind<'a>(messages: impl Iterator<Item = Message<'a>>) -> Option<(&'static Kind, Message<'a>)> {
    let known = messages.filter_map(|message| Some((Kind::position(message.text)?, message)));
    let (kind, message) = known.min_by_key(|(kind, message)| (*kind, named_instruction(message.text).is_none()))?;
    Some((KINDS.get(kind)?, message))
}

/// The reason of a log of no known kind: the last line before the statistics that is no dump of a state.
fn reason(log: &Log<'_>) -> String {
    match log.reasons().next() {
        // Kernels before 6.4 keep the beginning of a log that is larger than the largest buffer, and drop its end.
        _ if !log.is_whole && !log.steps.is_empty() => {
            "it says so at the end of its log, which is too long to be read whole".to_owned()
        }
        Some(message) => message.text.to_owned(),
        None => "it gave no reason".to_owned(),
    }
}

/// A log beside the lines of its program.
struct View<'a> {
    log: &'a Log<'a>,
    lines: Option<&'a Lines>,
}

impl View<'_> {
    /// Where it was refused: where the reason says, else the last instruction before the reason, else, for refusals of a
    /// whole function, where that is.
    fn at(&self, kind: &Kind, message: Option<Message<'_>>) -> Option<ExplainedStep> {
        let message = message?;
        if let Some(instruction) = named_instruction(message.text) {
            return Some(self.instruction(instruction, message.after));
        }
        if kind.id == "stack-limit" || kind.id == "no-exit" {
            return self.function(kind);
        }
        let step = message.after.checked_sub(1)?;
        Some(self.step(step, None))
    }

    /// What is wrong with a whole function: the one with most stack, or one that does not end.
    fn function(&self, kind: &Kind) -> Option<ExplainedStep> {
        let lines = self.lines?;
        if kind.id == "no-exit" {
            let function = lines.functions().iter().find(|function| !function.ends)?;
            return Some(self.instruction(Lines::last(function), self.log.steps.len()));
        }
        // Of two the first, which calls the other.
        let largest = lines.functions().iter().map(|function| function.stack).max()?;
        let function = lines.functions().iter().find(|function| function.stack == largest)?;
        let mut step = self.instruction(Lines::first(function), self.log.steps.len());
        step.source = lines.head(function).cloned();
        step.library = None;
        step.note = Some(format!("{} has {} bytes of stack, the most of all", function.name, function.stack));
        Some(step)
    }

    /// The last step of an instruction.
    fn last_step(&self, instruction: u32) -> Option<usize> {
        self.log.steps.iter().rposition(|step| step.index == instruction)
    }

    /// An instruction, as the verifier saw it the last time among its first `end` steps.
    fn instruction(&self, instruction: u32, end: usize) -> ExplainedStep {
        let seen = self.log.steps.get(..end).and_then(|steps| steps.iter().rposition(|step| step.index == instruction));
        seen.map_or_else(
            || {
                let (source, library) = self.place(instruction).unzip();
                ExplainedStep { instruction, text: None, source, library: library.flatten(), note: None }
            },
            |step| self.step(step, None),
        )
    }

    fn step(&self, step: usize, note: Option<String>) -> ExplainedStep {
        let step = &self.log.steps[step];
        let told = || {
            let (file, line) = step.source?.place?;
            Some((SourceLine { file: file.to_owned(), line, text: step.source?.text.to_owned() }, None))
        };
        let (source, library) = self.place(step.index).or_else(told).unzip();
        ExplainedStep {
            instruction: step.index,
            text: Some(step.text.to_owned()),
            source,
            library: library.flatten(),
            note,
        }
    }

    /// The object's word on an instruction.
    fn place(&self, instruction: u32) -> Option<(SourceLine, Option<SourceLine>)> {
        self.lines?.at(instruction)
    }

    /// The registers that the reason names, or else that the refused instruction reads or writes; and how they became what
    /// they are before the step `end`.
    fn registers(&self, message: Option<Message<'_>>, end: usize) -> Vec<RegisterHistory> {
        const MOST: usize = 3;
        const FRAME: u8 = 10;
        let Some(message) = message.filter(|_| end < self.log.steps.len() || !self.log.steps.is_empty()) else {
            return Vec::new();
        };
        let mut named = trace::registers(&message.text.replace('R', "r"));
        if named.is_empty()
            && let Some(step) = self.log.steps.get(end)
        {
            named = trace::registers(step.text);
        }
        named.retain(|register| *register != FRAME);
        let history = |register: u8| {
            let steps = trace::history(&self.log.steps, end, register);
            let step = |step: usize| {
                let after = self.log.steps[step].after.map(str::to_owned);
                self.step(step, after)
            };
            RegisterHistory {
                register: format!("R{register}"),
                state: self.state(register, end).map(str::to_owned),
                history: steps.into_iter().map(step).collect(),
            }
        };
        named.into_iter().take(MOST).map(history).collect()
    }

    /// What the verifier last said of a register before a step.
    fn state(&self, register: u8, end: usize) -> Option<&str> {
        let steps = self.log.steps.iter().take(end.saturating_add(1)).enumerate().rev();
        let mut states = steps.flat_map(|(at, step)| {
            // What the refused instruction itself would have done is not known.
            let after = step.after.filter(|_| at < end);
            [after, step.before].into_iter().flatten()
        });
        states.find_map(|states| log::state_of(states, register))
    }
}

/// The instruction that a reason names: `infinite loop detected at insn 5`, `alloc_insn=12`.
fn named_instruction(message: &str) -> Option<u32> {
    let after = |mark: &str| {
        let (_, rest) = message.split_once(mark)?;
        let digits = rest.find(|char: char| !char.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        digits.parse().ok()
    };
    after("alloc_insn=").or_else(|| after("from insn ")).or_else(|| after("insn "))
}

#[cfg(test)]
mod tests;
