#![expect(clippy::manual_is_multiple_of, reason = "remainders stand beside each other")]

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
};

use ebpflab_common::exec::arguments;
use proptest::prelude::*;

use super::*;
use crate::{
    names::{ErrorName, FlagNames, Words},
    records::{Attached, Container, ExecEvent, ExitEvent, OpenEvent, TraceEvent},
    schema::{Text, Texts},
};

/// A folder of our own.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("ebpflab-recording-{}-{number}", process::id()));
        fs::create_dir(&path).expect("a folder of our own");
        Self(path)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const FORMATS: [&str; 3] = ["parquet", "arrow", "jsonl"];
const KINDS_OF_ALL: [Kind; 4] = [Kind::Open, Kind::Exec, Kind::Exit, Kind::Trace];

/// What a test makes events of: bytes that may be anything, and a number.
#[derive(Clone, Debug)]
struct Seed {
    number: u32,
    text: Vec<u8>,
    argv: Option<Vec<u8>>,
    cgroup_path: Option<Text<'static>>,
    container: Option<Container>,
}

impl Seed {
    fn numbered(number: u32) -> Self {
        let text =
            [&b"/etc/passwd"[..], b"caf\xe9", b"", "\u{fffd}\u{65e5}\n".as_bytes()][number as usize % 4].to_vec();
        let argv =
            [Some(&b"ls\0-l\0"[..]), Some(b"a\0\xff\0\0"), Some(b""), None][number as usize % 4].map(<[u8]>::to_vec);
        let container = (number % 3 == 0).then(|| Container {
            id: format!("{:064x}", number % 2),
            runtime: "docker",
            name: (number % 2 == 0).then(|| "web".to_owned()),
        });
        let cgroup_path = (number % 5 != 0).then(|| Text::from(text.clone()));
        Self { number, text, argv, cgroup_path, container }
    }

    fn event(&self) -> Event<'_> {
        let Self { number, text, argv, cgroup_path, container } = self;
        let number = *number;
        let (comm, path) = (Text::from(&text[..text.len().min(15)]), (number % 7 != 0).then(|| Text::from(&text[..])));
        let (cgroup_path, container) = (cgroup_path.as_ref(), container.as_ref());
        let (time, some) = (1_700_000_000_000_000_000 + u64::from(number), (number % 2 == 0).then_some(number));
        let ret = if number % 2 == 0 { 3 } else { -(number as i32 % 600 + 1) };
        let words =
            Words::of(["tmpfile", "unlinked", "magic_link", "outside_root"].map(|word| (word, number % 3 == 1)));
        let path_fault = (number % 4 == 1).then_some("path and file");
        match number % 3 {
            0 => Event::Open(OpenEvent {
                time,
                cpu: 1,
                pid: number,
                tid: number + 1,
                ns_pid: 7,
                uid: u32::MAX,
                gid: 0,
                comm,
                cgroup: u64::MAX,
                cgroup_path,
                container,
                path: path.clone(),
                full_path: path,
                path_truncated: number % 2 == 0,
                path_fault,
                path_notes: words,
                dirfd: -100,
                flags: u64::from(number),
                flag_names: FlagNames((libc::O_RDWR | libc::O_SYNC | libc::O_CLOEXEC) as u64),
                mode: 0o644,
                ret,
                error: ErrorName(ret),
                latency_ns: 1_500,
                inode: some.map(u64::from),
                device: some.map(u64::from),
            }),
            1 => Event::Exec(ExecEvent {
                time,
                cpu: 1,
                pid: number,
                ns_pid: 7,
                ppid: 1,
                parent_comm: comm.clone(),
                uid: 0,
                gid: 0,
                loginuid: some,
                comm,
                cgroup: 1,
                cgroup_path,
                container,
                filename: path.clone(),
                exe: path.clone(),
                cwd: path,
                path_truncated: false,
                path_fault,
                path_notes: words,
                argv: argv.as_ref().map(|argv| Texts(argv.into())),
                argc: some,
                argv_truncated: true,
                ret,
                error: ErrorName(ret),
            }),
            _ if number % 2 == 0 => Event::Exit(ExitEvent {
                time,
                cpu: 0,
                pid: number,
                ns_pid: number,
                ppid: 1,
                uid: 0,
                gid: 0,
                comm,
                cgroup: 1,
                cgroup_path,
                container,
                exit_code: some,
                signal: some.is_none().then_some(9),
                core: number % 2 == 0,
                duration_ns: u64::MAX,
                exec_duration_ns: some.map(u64::from),
                exec_time: some.map(|number| 1_600_000_000_000_000_000 + u64::from(number)),
            }),
            _ => Event::Trace(TraceEvent {
                time,
                cpu: 1,
                pid: number,
                tid: number + 1,
                ns_pid: 7,
                uid: 0,
                gid: 0,
                comm,
                cgroup: 1,
                cgroup_path,
                container,
                value: path.as_ref().map(|_| i64::MIN + i64::from(number)),
                latency_ns: u64::MAX,
                data: path,
                data_truncated: number % 3 == 0,
                data_fault: number % 3 == 1,
            }),
        }
    }
}

fn recording() -> String {
    let attached = Attached {
        command: "dashboard".to_owned(),
        hooks: vec![],
        blind_to: vec![],
        buffer: Some(4_096),
        kernel: "6.18".to_owned(),
        mode: Optional(None),
    };
    json(&Recording { version: VERSION, host: "here".to_owned(), command: vec![], start: 7, attached })
}

fn write(path: &Path, seeds: &[Seed], flush_after: usize) -> Writer {
    let mut writer = Writer::create(path, &KINDS_OF_ALL, &recording(), false).expect("a new file");
    for (number, seed) in seeds.iter().enumerate() {
        writer.append(&seed.event());
        if (number + 1) % flush_after == 0 {
            writer.flush().map_err(|(error, _)| error).expect("there is room");
        }
    }
    writer.flush().map_err(|(error, _)| error).expect("there is room");
    writer
}

fn finish(writer: Writer, rows: usize) {
    writer.finish(&recovered(9, rows as u64)).expect("there is room");
}

/// The events of a file, as lines of JSON.
fn read(path: &Path) -> Vec<String> {
    let replay = Replay::open(path, Keep::default(), None).expect("a recording");
    let mut lines = Vec::new();
    while let Next::Event(line) = replay.next(line).expect("a whole file") {
        lines.push(line);
    }
    lines
}

fn line(event: &Event<'_>) -> String {
    let mut line = Vec::new();
    event.write_json_line(&mut line);
    String::from_utf8(line).expect("JSON is UTF-8")
}

fn lines(seeds: &[Seed]) -> Vec<String> {
    seeds.iter().map(|seed| line(&seed.event())).collect()
}

fn seeds(count: u32) -> Vec<Seed> {
    (0..count).map(Seed::numbered).collect()
}

#[test]
fn what_is_recorded_is_what_is_read() {
    for format in FORMATS {
        let folder = Folder::new();
        let (path, seeds) = (folder.file(&format!("run.{format}")), seeds(61));
        finish(write(&path, &seeds, 7), seeds.len());
        assert_eq!(read(&path), lines(&seeds), "{format}");
        assert_eq!(recover(&path).expect("it is whole"), Found::Whole);
        assert!(!parquet::journal(&path).exists());
        let told = Table::open(&path).expect("it is whole");
        assert_eq!(told.recording, recording());
        let recorded: Value = serde_json::from_str(&told.recorded.expect("it has an end")).expect("JSON");
        assert_eq!((&recorded["rows"], &recorded["end"]), (&61.into(), &9.into()));
    }
}

#[test]
fn an_empty_recording_is_one() {
    for format in FORMATS {
        let folder = Folder::new();
        let path = folder.file(&format!("run.{format}"));
        finish(write(&path, &[], 1), 0);
        assert_eq!(read(&path), Vec::<String>::new(), "{format}");
    }
}

#[test]
fn a_file_that_is_there_stays_unless_told() {
    use std::os::unix::fs::PermissionsExt as _;
    for format in FORMATS {
        let folder = Folder::new();
        let path = folder.file(&format!("run.{format}"));
        fs::write(&path, "mine").expect("a folder of our own");
        let create = |overwrite| Writer::create(&path, &KINDS_OF_ALL, &recording(), overwrite);
        let error = create(false).map(drop).expect_err("it is there").to_string();
        assert!(error.contains("is there already"), "{error}");
        assert_eq!(fs::read(&path).expect("it is there"), b"mine");
        create(true).map(drop).expect("it may be replaced");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{format}");
    }
}

/// Where to cut a file of that length: at every place near those where something ends, and at others.
fn cuts(len: usize, ends: &[usize]) -> impl Iterator<Item = usize> {
    (0..=len).filter(move |cut| cut % 1_499 == 0 || *cut == len || ends.iter().any(|end| end.abs_diff(*cut) < 7))
}

/// Recovers a file after it was cut, and returns how many events it has; it is a beginning of what was recorded.
fn recover_cut(path: &Path, bytes: &[u8], expected: &[String]) -> Option<usize> {
    fs::write(path, bytes).expect("a folder of our own");
    match recover(path) {
        Ok(Found::Recovered(rows)) => {
            let found = read(path);
            assert_eq!(found.len() as u64, rows);
            assert_eq!(found, expected[..found.len()]);
            assert_eq!(recover(path).expect("it is whole"), Found::Whole);
            Some(found.len())
        }
        Ok(Found::Whole) => panic!("{} has no end", path.display()),
        // Without its beginning it is no recording. It stays as it is.
        Err(_) => {
            assert_eq!(fs::read(path).expect("it is there"), bytes);
            None
        }
    }
}

#[test]
fn what_was_cut_anywhere_is_recovered_up_to_there() {
    for format in ["arrow", "jsonl"] {
        let folder = Folder::new();
        let (path, seeds) = (folder.file(&format!("run.{format}")), seeds(20));
        let mut writer = write(&path, &[], 1);
        let mut ends = vec![fs::metadata(&path).expect("it is there").len() as usize];
        for four in seeds.chunks(4) {
            four.iter().for_each(|seed| writer.append(&seed.event()));
            writer.flush().map_err(|(error, _)| error).expect("there is room");
            ends.push(fs::metadata(&path).expect("it is there").len() as usize);
        }
        drop(writer);
        let whole = fs::read(&path).expect("it is there");
        let expected = lines(&seeds);
        for cut in cuts(whole.len(), &ends) {
            let rows = recover_cut(&path, &whole[..cut], &expected);
            let least = ends.iter().filter(|end| **end <= cut).count().checked_sub(1).map(|flushes| flushes * 4);
            // A line is whole as soon as it has its newline; a batch when all of it is there.
            match format {
                "arrow" => assert_eq!(rows, least, "cut at {cut}"),
                _ => assert_eq!(rows.map(|rows| rows / 4 * 4), least, "cut at {cut}"),
            }
        }
    }
}

#[test]
fn a_parquet_file_that_was_cut_anywhere_is_recovered_with_its_journal() {
    let folder = Folder::new();
    let (path, seeds) = (folder.file("run.parquet"), seeds(44));
    let beside = parquet::journal(&path);
    // 16 rows make a row group: two of them, and 12 rows in the journal.
    drop(write(&path, &seeds, 4));
    let (file, rest) = (fs::read(&path).expect("it is there"), fs::read(&beside).expect("it is there"));
    let expected = lines(&seeds);
    let whole = |cut: usize| {
        fs::write(&path, &file[..cut]).expect("a folder of our own");
        let groups = fs::read(&path).expect("it is there").windows(8).filter(|bytes| bytes == b"EBPFLAB1").count();
        groups * 16
    };
    // As it is, its name opens after it was recovered, and has everything.
    assert!(Table::open(&path).map(drop).expect_err("it has no end").to_string().contains("ebpflab recover"));
    // Killed while it wrote a row group: the journal has what is not in the file.
    for cut in cuts(file.len(), &[4, file.len()]) {
        fs::remove_file(&beside).ok();
        let alone = recover_cut(&path, &file[..cut], &expected);
        assert_eq!(alone, Some(whole(cut)).filter(|rows| *rows > 0), "cut at {cut}");
    }
    // Killed while it wrote the journal.
    for cut in cuts(rest.len(), &[0, rest.len()]) {
        fs::write(&beside, &rest[..cut]).expect("a folder of our own");
        let rows = recover_cut(&path, &file, &expected).expect("two row groups are whole");
        assert!(rows >= 32 && (rows - 32).is_multiple_of(4), "cut at {cut}");
        assert_eq!(rows == 44, cut == rest.len(), "cut at {cut}");
        assert!(!beside.exists());
    }
}

#[test]
fn rows_of_a_journal_are_there_once() {
    let folder = Folder::new();
    let (path, seeds) = (folder.file("run.parquet"), seeds(16));
    let beside = parquet::journal(&path);
    let mut writer = write(&path, &seeds[..12], 4);
    let stale = fs::read(&beside).expect("it is there");
    seeds[12..].iter().for_each(|seed| writer.append(&seed.event()));
    writer.flush().map_err(|(error, _)| error).expect("there is room");
    drop(writer);
    let file = fs::read(&path).expect("it is there");
    // Killed after it wrote the row group and before it emptied the journal, and while it wrote the row group.
    for (cut, rows) in [(file.len(), 16), (file.len() - 1, 12)] {
        fs::write(&beside, &stale).expect("a folder of our own");
        assert_eq!(recover_cut(&path, &file[..cut], &lines(&seeds)), Some(rows));
    }
}

#[test]
fn what_is_no_recording_is_left_alone() {
    let folder = Folder::new();
    for (name, bytes) in [
        ("a.parquet", &b""[..]),
        ("b.parquet", b"PAR1 and nothing else EBPFLAB1"),
        ("c.arrow", b"\xff\xff\xff\xff\x10\0\0\0 not a schema"),
        ("d.jsonl", b"{\"type\":\"attached\"}\n"),
        ("e.jsonl", b""),
    ] {
        let path = folder.file(name);
        fs::write(&path, bytes).expect("a folder of our own");
        assert!(matches!(recover(&path), Err(Error::InvalidArgument(_))), "{name}");
        assert!(matches!(Table::open(&path).map(drop), Err(Error::InvalidArgument(_))), "{name}");
        assert_eq!(fs::read(&path).expect("it is there"), bytes);
    }
    assert!(matches!(recover(&folder.file("no.parquet")), Err(Error::Os { .. })));
    assert!(matches!(Format::of(Path::new("run.csv")), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_replay_keeps_what_is_asked_for_and_adds_up() {
    let folder = Folder::new();
    let (path, seeds) = (folder.file("run.arrow"), seeds(60));
    finish(write(&path, &seeds, 60), 60);
    let kept = |keep: Keep| {
        let replay = Replay::open(&path, keep, None).expect("a recording");
        let mut numbers = Vec::new();
        while let Next::Event(time) = replay.next(|event| event.time()).expect("a whole file") {
            numbers.push((time - 1_700_000_000_000_000_000) as u32);
        }
        let ledger = replay.ledger();
        assert_eq!((ledger.seen, ledger.submitted), (60, numbers.len() as u64));
        assert_eq!((ledger.filtered, ledger.received, ledger.shown), (60 - ledger.shown, ledger.shown, ledger.shown));
        numbers
    };
    let all = |holds: &dyn Fn(u32) -> bool| (0..60).filter(|number| holds(*number)).collect::<Vec<_>>();
    assert_eq!(kept(Keep::default()), all(&|_| true));
    assert_eq!(kept(Keep { pid: Some(7), ..Keep::default() }), [7]);
    assert_eq!(kept(Keep { uid: Some(u32::MAX), ..Keep::default() }), all(&|number| number % 3 == 0));
    assert_eq!(kept(Keep { comm: Some(b"caf\xe9".to_vec()), ..Keep::default() }), all(&|number| number % 4 == 1));
    let web = Keep { container: Some("web".to_owned()), ..Keep::default() };
    assert_eq!(kept(web), all(&|number| number % 6 == 0));
    let digits = Keep { container: Some("0000".to_owned()), ..Keep::default() };
    assert_eq!(kept(digits), all(&|number| number % 3 == 0));
    let few = Keep { container: Some("000".to_owned()), ..Keep::default() };
    assert_eq!(kept(few), all(&|_| false));
    let etc = Keep { cgroup: Some(b"/etc/".to_vec()), ..Keep::default() };
    assert_eq!(kept(etc), all(&|number| number % 4 == 0 && number % 5 != 0));
    let failed = Keep { failed: true, ..Keep::default() };
    // Every exit here is a failure, and of traced calls each that returned something.
    let failed_call = |number: u32| number % 2 == 0 || number % 7 != 0;
    assert_eq!(kept(failed), all(&|number| if number % 3 == 2 { failed_call(number) } else { number % 2 == 1 }));
    let prefix = Keep { path_prefix: Some(b"/etc".to_vec()), ..Keep::default() };
    // Of opens: what begins so, what is not known, and what is cut at its beginning.
    let kept_open = |number: u32| match number % 7 {
        0 => number % 4 == 1,
        _ => number % 2 == 0,
    };
    assert_eq!(kept(prefix), all(&|number| number % 3 != 0 || kept_open(number)));
    let thread = Keep { tid: Some(1), ..Keep::default() };
    assert!(matches!(Replay::open(&path, thread, None).map(drop), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_replay_takes_the_time_that_it_took() {
    let folder = Folder::new();
    let path = folder.file("run.jsonl");
    let mut writer = Writer::create(&path, &KINDS_OF_ALL, &recording(), false).expect("a new file");
    let (first, mut second) = (Seed::numbered(0), Seed::numbered(0));
    second.number = 300_000_000 / 3 * 3;
    writer.append(&first.event());
    writer.append(&second.event());
    writer.flush().map_err(|(error, _)| error).expect("there is room");
    finish(writer, 2);
    let replay = Replay::open(&path, Keep::default(), Some(2.0)).expect("a recording");
    let started = Instant::now();
    assert!(matches!(replay.next(drop_event).expect("whole"), Next::Event(())));
    assert!(matches!(replay.next(drop_event).expect("whole"), Next::Later));
    assert!(!replay.wait(Duration::from_millis(1)));
    while !replay.wait(Duration::from_secs(10)) {}
    assert!(matches!(replay.next(drop_event).expect("whole"), Next::Event(())));
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert!(matches!(replay.next(drop_event).expect("whole"), Next::End));
    assert!(replay.is_stopped());
}

fn drop_event(_: &Event<'_>) {}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes come back, in every format.
    #[test]
    fn any_bytes_come_back(
        texts in prop::collection::vec(prop::collection::vec(1_u8..=255, 0..40), 1..30),
        argv in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 30),
    ) {
        let seeds: Vec<_> = texts
            .into_iter()
            .zip(argv)
            .enumerate()
            .map(|(number, (text, argv))| Seed { text, argv, ..Seed::numbered(number as u32) })
            .collect();
        for format in FORMATS {
            let folder = Folder::new();
            let path = folder.file(&format!("run.{format}"));
            finish(write(&path, &seeds, 11), seeds.len());
            prop_assert_eq!(read(&path), lines(&seeds));
        }
    }
}

#[test]
fn arguments_come_back_as_they_were() {
    // What was cut has no NUL behind it; it is the last argument all the same.
    assert!(arguments(b"a\0b").eq(arguments(b"a\0b\0")));
}
