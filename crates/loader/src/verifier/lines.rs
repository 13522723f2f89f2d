//! Which lines of the source the instructions of a program come from, by the object that it was loaded from. Kernels
//! before 6.9 do not write that into their logs, and none tells more of a file than its name.

use std::collections::HashSet;

use aya_obj::generated::bpf_insn;

use super::SourceLine;
use crate::{
    bpf::{parse, section},
    btf,
};

/// The lines of one program, with the functions that it calls, as the kernel got it.
pub(crate) struct Lines {
    /// By the instruction from which on they count.
    records: Vec<(u32, SourceLine)>,
    functions: Vec<Function>,
}

/// A function of the program.
pub(super) struct Function {
    pub(super) name: String,
    /// Its first instruction, and the one behind its last.
    first: u32,
    end: u32,
    /// Bytes of its stack, as far as they can be told from its instructions.
    pub(super) stack: u32,
    /// Whether it ends with a return or a jump.
    pub(super) ends: bool,
}

const EXIT: u8 = 0x95;
const JA: [u8; 2] = [0x05, 0x06];

impl Lines {
    /// `None` where the object has no such program, or nothing can be told.
    pub(crate) fn of(elf: &[u8], program: &str) -> Option<Self> {
        let mut object = parse(elf).ok()?;
        let sections: HashSet<_> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_calls(&sections).ok()?;
        let linked = object.functions.get(&object.programs.get(program)?.function_key())?;
        let types = section(elf, ".BTF")?;
        let record = |info: &aya_obj::generated::bpf_line_info| {
            let file = btf::string(types, info.file_name_off)?;
            let file = file.strip_prefix("./").unwrap_or(&file).to_owned();
            let text = btf::string(types, info.line_off).unwrap_or_default();
            // The column is in the lower ten bits.
            Some((info.insn_off, SourceLine { file, line: info.line_col >> 10, text: text.trim().to_owned() }))
        };
        let mut records: Vec<_> = linked.line_info.line_info.iter().filter_map(record).collect();
        records.sort_by_key(|(first, _)| *first);
        let firsts: Vec<_> = linked.func_info.func_info.iter().map(|info| info.insn_off).collect();
        let len = linked.instructions.len() as u32;
        let functions = linked.func_info.func_info.iter().filter_map(|info| {
            let first = info.insn_off;
            let end = firsts.iter().copied().filter(|other| *other > first).min().unwrap_or(len);
            let instructions = linked.instructions.get(first as usize..end as usize)?;
            let name = btf::name_of(types, info.type_id).unwrap_or_default();
            let ends = instructions.last().is_some_and(|last| last.code == EXIT || JA.contains(&last.code));
            Some(Function { name, first, end, stack: stack(instructions), ends })
        });
        let functions = functions.collect();
        Some(Self { records, functions })
    }

    /// The line that an instruction comes from, and where that is in a library, the program's own line that it was called
    /// from: the last before it in its function, or else the next one. The head of a function is the line of the macro that
    /// made it, which is nobody's statement, and taken only where there is no other.
    pub(super) fn at(&self, instruction: u32) -> Option<(SourceLine, Option<SourceLine>)> {
        let function = self.function(instruction)?;
        let lines: Vec<_> = self.records_of(function).collect();
        let at = lines.iter().rposition(|(first, _)| *first <= instruction)?;
        let exact = &lines[at].1;
        let head = self.head(function);
        let is_statement = |line: &&SourceLine| line.is_own() && Some(*line) != head;
        if is_statement(&exact) {
            return Some((exact.clone(), None));
        }
        let mut before = lines[..at].iter().rev().map(|(_, line)| line);
        let mut after = lines[at..].iter().map(|(_, line)| line);
        let own = before.find(is_statement).or_else(|| after.find(is_statement)).or(head);
        let library = (!exact.is_own()).then(|| exact.clone());
        Some(own.map_or_else(|| (exact.clone(), None), |own| (own.clone(), library)))
    }

    fn records_of(&self, function: &Function) -> impl Iterator<Item = &(u32, SourceLine)> {
        self.records.iter().filter(|(first, _)| (function.first..function.end).contains(first))
    }

    fn function(&self, instruction: u32) -> Option<&Function> {
        self.functions.iter().find(|function| (function.first..function.end).contains(&instruction))
    }

    /// The functions, the program itself first.
    pub(super) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Where a function begins, if that is in the program's own files.
    pub(super) fn head(&self, function: &Function) -> Option<&SourceLine> {
        self.records_of(function).map(|(_, line)| line).next().filter(|line| line.is_own())
    }

    /// The first instruction of a function.
    pub(super) fn first(function: &Function) -> u32 {
        function.first
    }

    /// The last instruction of a function.
    pub(super) fn last(function: &Function) -> u32 {
        function.end - 1
    }
}

/// How far down instructions reach from `r10`: by loads and stores, and by pointers that are made of it.
fn stack(instructions: &[bpf_insn]) -> u32 {
    const R10: u8 = 10;
    const MOV: u8 = 0xbf;
    const ADD: u8 = 0x07;
    const CLASS: u8 = 0x07;
    const LDX: u8 = 0x01;
    const STORES: [u8; 2] = [0x02, 0x03];
    let mut deepest = 0i32;
    let mut previous: Option<&bpf_insn> = None;
    for instruction in instructions {
        let class = instruction.code & CLASS;
        let base = if class == LDX { instruction.src_reg() } else { instruction.dst_reg() };
        if base == R10 && (class == LDX || STORES.contains(&class)) {
            deepest = deepest.min(instruction.off.into());
        }
        let is_copy = |it: &&bpf_insn| it.code == MOV && it.src_reg() == R10 && it.dst_reg() == instruction.dst_reg();
        if instruction.code == ADD && previous.as_ref().is_some_and(is_copy) {
            deepest = deepest.min(instruction.imm);
        }
        previous = Some(instruction);
    }
    deepest.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{objects, verifier::zoo};

    fn lines(program: &str) -> Lines {
        Lines::of(objects::ZOO, program).expect("a program of the zoo")
    }

    /// The line that is marked in the source of a program of the zoo.
    fn marked(name: &str) -> u32 {
        zoo::SPECIMENS.iter().find(|specimen| specimen.name == name).expect("it is there").describe().line
    }

    #[test]
    fn the_stack_of_each_function_is_told_by_its_instructions() {
        let lines = lines("bad_stack");
        let frames: Vec<_> = lines.functions().iter().map(|it| (it.name.as_str(), it.stack >= 320)).collect();
        assert_eq!(frames, [("bad_stack", true), ("deep", true)]);
        let head = lines.head(&lines.functions()[0]).expect("it is the program's own");
        assert_eq!((head.file.as_str(), head.line), (zoo::FILE, marked("stack")));
    }

    #[test]
    fn a_function_that_may_panic_has_no_end() {
        let lines = lines("bad_panic");
        let endless: Vec<_> = lines.functions().iter().filter(|function| !function.ends).collect();
        assert_eq!(endless[0].name, "bad_panic");
        let (source, _) = lines.at(Lines::last(endless[0])).expect("it has lines");
        assert_eq!((source.file.as_str(), source.line), (zoo::FILE, marked("panic")));
    }

    #[test]
    fn what_is_not_there_has_no_line() {
        assert!(Lines::of(objects::ZOO, "unicorn").is_none());
        assert!(Lines::of(b"", "bad_null").is_none());
        assert!(lines("bad_null").at(u32::MAX).is_none());
    }
}
