//! Loads, attaches and reads BPF programs: ebpflab's own tools ([`tools`]) and, through [`bpf`], any object.
//!
//! Nothing here knows Python. A tool becomes a [`session::Session`], whose readings and records describe themselves
//! ([`schema`]).

pub mod bpf;
pub mod btf;
mod cgroups;
mod clsact;
pub mod columns;
mod containers;
pub mod doctor;
mod elf;
mod engines;
pub mod error;
pub mod events;
pub mod flame;
pub mod hooks;
pub mod inspect;
pub mod interface;
pub mod names;
mod netlink;
pub mod objects;
mod pace;
pub mod pcapng;
mod privilege;
pub mod recording;
pub mod records;
pub mod rules;
pub mod schema;
pub mod session;
mod sockets;
mod symbols;
pub mod targets;
pub mod tools;
pub mod tracefs;
pub mod verifier;
