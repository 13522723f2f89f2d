//! What the tracers are measured with: system calls of known number, and how long they took.
//!
//!     workload open PATH COUNT | flood PATH SECONDS | getppid COUNT | canary PATH
//!
//! Prints `ready`, waits for a line, makes the calls, and prints their number, the nanoseconds that all of them took, and
//! the microseconds of CPU time. `canary` opens its path every millisecond until its input ends.

use std::{
    env,
    fs::{self, File},
    io::{Read as _, stdin},
    os::unix::process::parent_id,
    thread,
    time::{Duration, Instant},
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    println!("ready");
    if let ["canary", path] = arguments[..] {
        return canary(path);
    }
    stdin().read_line(&mut String::new()).expect("a line");
    let (start, cpu) = (Instant::now(), cpu_us());
    let calls: u64 = match arguments[..] {
        ["open", path, count] => (0..number(count)).map(|_| open(path)).sum(),
        ["flood", path, seconds] => {
            let end = start + Duration::from_secs(number(seconds));
            let mut calls = 0;
            while Instant::now() < end {
                calls += (0..1_000).map(|_| open(path)).sum::<u64>();
            }
            calls
        }
        ["getppid", count] => (0..number(count)).map(|_| u64::from(parent_id() > 0)).sum(),
        _ => panic!("what are {arguments:?}?"),
    };
    println!("{calls} {} {}", start.elapsed().as_nanos(), cpu_us() - cpu);
}

fn open(path: &str) -> u64 {
    u64::from(File::open(path).is_ok())
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// From utime and stime of /proc/self/stat, in ticks of 10 ms.
fn cpu_us() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("procfs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    (number(fields[11]) + number(fields[12])) * 10_000
}

fn canary(path: &str) {
    thread::spawn(|| {
        stdin().read_to_end(&mut Vec::new()).expect("input");
        std::process::exit(0);
    });
    loop {
        open(path);
        thread::sleep(Duration::from_millis(1));
    }
}
