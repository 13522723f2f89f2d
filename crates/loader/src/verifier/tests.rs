//! The explainer on logs that kernels have written (tests/verifier/KERNEL/PROGRAM.log, of the programs of the zoo), on
//! messages out of kernel/bpf/verifier.c, and on what is left of a log when it is mangled.

use std::{collections::BTreeSet, fs, path::PathBuf};

use proptest::prelude::*;

use super::{zoo::SPECIMENS, *};

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "verifier"].iter().collect()
}

fn log(series: &str, name: &str) -> String {
    fs::read_to_string(folder().join(series).join(format!("{name}.log"))).expect("it is committed")
}

/// The kernel, the program and the log of all that are committed.
fn logs() -> Vec<(String, String, String)> {
    let names = |folder: &PathBuf| {
        let entries = fs::read_dir(folder).expect("it is committed");
        let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let mut found = Vec::new();
    for series in names(&folder()) {
        for file in names(&folder().join(&series)) {
            let name = file.strip_suffix(".log").expect("a log").to_owned();
            let text = log(&series, &name);
            found.push((series.clone(), name, text));
        }
    }
    found
}

#[test]
fn each_log_is_of_the_kind_that_its_program_shows() {
    let logs = logs();
    assert!(logs.len() >= 60, "{}", logs.len());
    for (series, name, text) in logs {
        let specimen = SPECIMENS.iter().find(|specimen| specimen.name == name).expect("a program of the zoo");
        let explained = explain(&text);
        assert_eq!(explained.kind, specimen.kind, "{series} {name}");
        assert_eq!(explained.log, None);
        let whole_functions = ["no-exit", "stack-limit"];
        // Of a whole function 7.3 alone names an instruction, in a section.
        assert_eq!(explained.at.is_none(), whole_functions.contains(&explained.kind), "{series} {name}");
        assert_eq!(explained.suggestion.is_some(), text.contains("\nSuggestion:\n"), "{series} {name}");
    }
}

#[test]
fn every_kernel_tells_of_the_same_instruction() {
    let at = |series: &str, name: &str| explain(&log(series, name)).at.map(|at| (at.instruction, at.text));
    for name in ["argument", "bounds", "index", "leak", "loop", "null", "offset", "scalar", "size"] {
        let expected = at("5.10", name).expect("it is listed");
        for series in ["6.1", "6.12", "6.18", "7.3"] {
            assert_eq!(at(series, name).expect("it is listed").0, expected.0, "{series} {name}");
        }
    }
}

#[test]
fn the_way_and_the_registers_of_a_refusal() {
    let explained = explain(&log("6.18", "index"));
    assert_eq!(explained.reason, "R0 unbounded memory access, make sure to bounds check any such access");
    let at = explained.at.expect("it is listed");
    assert_eq!(at.text.as_deref(), Some("r1 = *(u8 *)(r0 +0)"));
    assert_eq!(at.source.expect("6.18 tells").file, "zoo.rs");
    let jumps: Vec<_> = explained.path.iter().map(|step| (step.text.as_deref(), step.note.as_deref())).collect();
    assert_eq!(jumps, [(Some("if r0 == 0x0 goto pc+3"), Some("not taken"))]);
    let [register] = &explained.registers[..] else { panic!("{:?}", explained.registers) };
    assert_eq!(register.register, "R0");
    assert!(register.state.as_deref().expect("6.18 tells").starts_with("map_value(map=TABLE,"));
    let history: Vec<_> = register.history.iter().filter_map(|step| step.text.as_deref()).collect();
    assert_eq!(history, ["call bpf_map_lookup_elem#1", "if r0 == 0x0 goto pc+3", "r0 += r1"]);
}

#[test]
fn kernels_without_places_in_their_logs_have_none_in_the_explanation() {
    let at = explain(&log("5.10", "index")).at.expect("it is listed");
    assert_eq!(at.source, None);
}

#[test]
fn a_reference_is_told_where_it_was_taken() {
    for series in ["5.10", "6.1", "6.12", "6.18", "7.3"] {
        let at = explain(&log(series, "leak")).at.expect("it is listed");
        assert_eq!(at.text.as_deref(), Some("call bpf_ringbuf_reserve#131"), "{series}");
    }
}

#[test]
fn what_7_3_says_itself_is_passed_on() {
    let explained = explain(&log("7.3", "null"));
    let reason = "R0 may be NULL here (a nullable map value pointer). The program could dereference NULL on this path, so \
                  the verifier cannot prove this access is safe.";
    assert_eq!(explained.reason, reason);
    let suggestion = "Add a NULL check before the access and dereference the pointer only on the non-NULL path.";
    assert_eq!(explained.suggestion.as_deref(), Some(suggestion));
    let path = explained.causal_path.expect("7.3 has it");
    assert!(path.starts_with("bad_null @ "), "{path}");
    assert!(path.contains("\n>>>  6 | (85) call bpf_map_lookup_elem#1\n     7 | "), "{path}");
}

#[test]
fn messages_are_of_their_kinds() {
    for (message, kind) in [
        ("R1 pointer comparison prohibited", "missing-capability"),
        ("R0 leaks addr as return value", "missing-capability"),
        ("R2 pointer arithmetic on map_ptr prohibited for !root", "missing-capability"),
        ("verifying a BPF object needs CAP_BPF and CAP_PERFMON; run it as root (sudo)", "missing-capability"),
        ("Lockdown: bpftool: use of bpf to read kernel RAM is restricted; see man kernel_lockdown.7", "lockdown"),
        (
            "making BPF maps cannot work here: only 64 KiB of memory may be locked (RLIMIT_MEMLOCK), and maps count",
            "memlock",
        ),
        ("invalid func unknown#195896080", "missing-kernel-field"),
        ("3: <invalid CO-RE relocation>", "missing-kernel-field"),
        ("invalid func unknown#181", "missing-helper"),
        ("unknown opcode 8d", "unknown-instruction"),
        ("BPF_XADD uses reserved fields", "unknown-instruction"),
        ("BPF_ATOMIC uses invalid atomic opcode e1", "unknown-instruction"),
        ("FENTRY/FEXIT program can only be attached to another program annotated with BTF", "attach-target"),
        ("tail_calls are not allowed in non-JITed programs with bpf-to-bpf calls", "needs-jit"),
        ("cannot call GPL-restricted function from non-GPL compatible program", "gpl-only"),
        ("helper call might sleep in a non-sleepable prog", "may-sleep"),
        ("unknown func bpf_get_current_pid_tgid#14", "helper-not-allowed"),
        ("program of this type cannot use helper bpf_redirect#23", "helper-not-allowed"),
        ("back-edge from insn 12 to insn 4", "unbounded-loop"),
        ("BPF program is too large. Processed 1000001 insn", "too-complex"),
        ("The sequence of 8193 jumps is too complex.", "too-complex"),
        ("R0 !read_ok", "uninitialised-register"),
        ("invalid stack off=-520 size=8", "stack-bounds"),
        ("invalid write to stack R10 off=-520 size=8", "stack-bounds"),
        ("invalid stack type R1 off=-520 access_size=16", "stack-bounds"),
        ("invalid variable-offset read from stack R2 var_off=(0x0; 0xff) off=-16 size=1", "stack-bounds"),
        ("invalid read from stack off -8+0 size 8", "uninitialised-stack"),
        ("invalid indirect read from stack off -16+1 size 16", "uninitialised-stack"),
        ("invalid indirect read from stack R2 off -16+1 size 16", "uninitialised-stack"),
        ("combined stack size of 2 calls is 704. Too large", "stack-limit"),
        ("the call stack of 9 frames is too deep !", "stack-limit"),
        ("invalid access to packet, off=12 size=1, R1(id=0,off=12,r=0)", "packet-bounds"),
        ("R2 unbounded memory access, use 'var &= const' or 'if (var < const)'", "unbounded-size"),
        ("invalid access to map value, value_size=16 off=255 size=1", "memory-bounds"),
        ("R0 max value is outside of the allowed memory range", "memory-bounds"),
        ("R0 min value is negative, either use unsigned index or do a if (index >=0) check.", "memory-bounds"),
        ("R0 invalid mem access 'map_value_or_null'", "missing-null-check"),
        ("R7 invalid mem access 'ringbuf_mem_or_null'", "missing-null-check"),
        ("R1 type=sock_or_null expected=sock_common, sock, tcp_sock, xdp_sock", "missing-null-check"),
        ("R6 pointer arithmetic on map_value_or_null prohibited, null-check it first", "missing-null-check"),
        ("R1 invalid mem access 'inv'", "not-a-pointer"),
        ("R1 invalid mem access 'scalar'", "not-a-pointer"),
        ("dereference of modified ctx ptr R1 off=8 disallowed", "context-access"),
        ("Unreleased reference id=2 alloc_insn=4", "reference-leak"),
        ("At program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)", "return-value"),
        ("At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]", "return-value"),
        ("last insn is not an exit or jmp", "no-exit"),
        ("unreachable insn 7", "unreachable-code"),
        ("math between pkt pointer and register with unbounded min value is not allowed", "pointer-arithmetic"),
        ("R2 bitwise operator &= on pointer prohibited", "pointer-arithmetic"),
        ("value -2147483648 makes map_value pointer be out of bounds", "pointer-arithmetic"),
        ("cannot pass map_type 2 into func bpf_ringbuf_output#130", "map-kind"),
        ("R2 type=inv expected=fp, pkt, pkt_meta, map_value", "argument-type"),
        ("cannot write into packet", "read-only"),
        ("write into map forbidden, value_size=4 off=0 size=4", "read-only"),
        ("misaligned stack access off (0x0; 0x0)+-12+0 size 8", "misaligned"),
        ("mixing of tail_calls and bpf-to-bpf calls is not supported", "tail-call"),
        ("cannot return stack pointer to the caller", "subprogram-arguments"),
        ("bpf_spin_lock is missing unlock", "lock"),
        ("access beyond struct task_struct at off 99999 size 4", "kernel-struct"),
        ("libbpf: load bpf program failed: Operation not permitted", "not-permitted"),
    ] {
        let explained = explain(message);
        assert_eq!((explained.kind, explained.reason.as_str()), (kind, message));
    }
}

/// What a loader says around it is no reason, when there is one.
#[test]
fn the_reason_is_what_stands_behind_the_last_instruction() {
    let quoted = format!(
        "libbpf: kernel BTF is missing at '/sys/kernel/btf/vmlinux', was CONFIG_DEBUG_INFO_BTF enabled?\n\
         libbpf: prog 'x': BPF program load failed: Operation not permitted\nlibbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n\
         {}\n-- END PROG LOAD LOG --\n",
        log("6.12", "bounds"),
    );
    let explained = explain(&quoted);
    assert_eq!((explained.kind, explained.reason.as_str()), ("packet-bounds", "R1 offset is outside of the packet"));
}

#[test]
fn a_log_of_no_known_kind_comes_back_whole() {
    for text in ["", "\n\n", "the dog ate it", "0: (95) exit\nsomething new\nprocessed 1 insns (limit 1000000)"] {
        let explained = explain(text);
        assert_eq!((explained.kind, explained.cause), ("unknown", "unknown"));
        assert_eq!(explained.log.as_deref(), Some(text));
    }
}

/// As kernels end the log of aya's level.
const STATISTICS: &str = "verification time 11 usec\nstack depth 0\nprocessed 1 insns (limit 1000000)";

#[test]
fn the_reason_is_the_last_line_before_the_statistics() {
    let log = format!("0: (b7) r0 = 0\nR1 invalid mem access 'scalar'\n{STATISTICS}");
    assert_eq!(explain(&log).reason, "R1 invalid mem access 'scalar'");
}

#[test]
fn states_are_no_reason() {
    let log = format!(
        "1: (15) if r0 == 0x0 goto pc-1        ; R0=0\ninfinite loop detected at insn 1\n\
         cur state: R0=0 R1=ctx() R10=fp0\nold state: R0=P0 R1=ctx() R10=fp0\n{STATISTICS}"
    );
    assert_eq!(explain(&log).reason, "infinite loop detected at insn 1");
}

#[test]
fn a_reason_may_stand_behind_the_jump_that_it_is_about() {
    for reason in ["infinite loop detected at insn 21", "BPF program is too large. Processed 1000001 insn"] {
        let log = format!(
            "27: (85) call bpf_map_lookup_elem#1\n28: (55) if r0 != 0x0 goto pc-8 {reason}\nprocessed 71 insns\n"
        );
        let explained = explain(&log);
        assert_eq!(explained.reason, reason);
        assert_ne!(explained.kind, "unknown");
    }
}

#[test]
fn the_reason_of_7_3_is_the_paragraph_of_that_name() {
    let reason = explain(&log("7.3", "panic")).reason;
    assert!(reason.starts_with("Subprogram 0 reaches its last instruction "), "{reason}");
    assert!(reason.ends_with(" so control could continue into the next subprogram."), "{reason}");
}

#[test]
fn not_all_refusals_of_7_3_have_the_paragraph() {
    let expected = "At program exit the register R0 has unknown scalar value should have been in [0, 1]";
    assert_eq!(explain(&log("7.3", "return")).reason, expected);
}

#[test]
fn a_log_without_a_reason_is_not_made_up() {
    assert_eq!(explain("processed 0 insns").reason, "it gave no reason");
    let cut = "1: (07) r0 += 1\n2: (a5) if r0 < 0xf4240 go";
    assert_eq!(explain(cut).reason, "it says so at the end of its log, which is too long to be read whole");
    assert_eq!(explain(cut).kind, "unknown");
}

#[test]
fn states_are_taken_apart() {
    let states = "R0_w=map_value(id=0,off=0,ks=4,vs=8,imm=0) R1=ctx() R10=fp0 fp-8=0000????";
    assert_eq!(log::state_of(states, 0), Some("map_value(id=0,off=0,ks=4,vs=8,imm=0)"));
    assert_eq!(log::state_of(states, 10), Some("fp0"));
    assert_eq!(log::state_of(states, 6), None);
}

/// A log, with some of its lines taken out, doubled, swapped, cut or replaced by anything.
fn mangled() -> impl Strategy<Value = String> {
    let logs: Vec<_> = logs().into_iter().map(|(_, _, text)| text).collect();
    let change = (0..5u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,40}");
    (prop::sample::select(logs), prop::collection::vec(change, 0..8)).prop_map(|(text, changes)| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        for (what, first, second, anything) in changes {
            if lines.is_empty() {
                break;
            }
            let (first, second) = (first.index(lines.len()), second.index(lines.len()));
            match what {
                0 => drop(lines.remove(first)),
                1 => lines.insert(second, lines[first].clone()),
                2 => lines.swap(first, second),
                3 => {
                    let line = &lines[first];
                    let keep = line.char_indices().nth(second).map_or(line.len(), |(at, _)| at);
                    lines[first].truncate(keep);
                }
                _ => lines[first].insert_str(0, &anything),
            }
        }
        lines.join("\n")
    })
}

fn holds_what_it_promises(text: &str) -> Result<(), TestCaseError> {
    let explained = explain(text);
    let ids: BTreeSet<_> = KINDS.iter().map(|kind| kind.id).collect();
    match explained.log {
        Some(log) => prop_assert_eq!((explained.kind, log.as_str()), ("unknown", text)),
        None => prop_assert!(ids.contains(explained.kind)),
    }
    prop_assert!(explained.path.len() <= MOST_JUMPS && explained.path.len() as u32 <= explained.jumps);
    // Nothing is made up: all that is quoted stands in the log.
    let steps = explained.registers.iter().flat_map(|register| &register.history);
    for step in steps.chain(&explained.path).chain(&explained.at) {
        if let Some(quoted) = &step.text {
            prop_assert!(text.contains(quoted.as_str()), "{}", quoted);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_mangled_log_is_explained_or_comes_back(text in mangled()) {
        holds_what_it_promises(&text)?;
    }

    #[test]
    fn any_text_is_explained_or_comes_back(text in "(\\PC|[0-9:;()R=#\n ]){0,200}") {
        holds_what_it_promises(&text)?;
    }

    #[test]
    fn lines_like_those_of_a_log_are_explained_or_come_back(
        text in "([0-9]{1,12}: \\([0-9a-f]{2}\\) (r[0-9]{1,3} [+]?= [rw0-9*( ]{0,9}|if r1 == 0x0 goto pc[+]?[0-9]{0,3}|call pc[+]1|exit)[ ;R0-9=(]{0,8}\n){0,12}R[0-9]{1,3} !read_ok\n?"
    ) {
        holds_what_it_promises(&text)?;
    }
}
