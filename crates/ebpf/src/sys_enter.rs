//! The records of the tracepoints `sys_enter_*`.

use aya_ebpf::{Global, programs::TracePointContext};

/// Offset of the first argument in a `sys_enter_*` record, from the format file.
#[unsafe(no_mangle)]
static SYS_ENTER_ARGS: Global<u32> = Global::new(16);

/// The arguments. All `sys_enter_*` records have them one after the other, 8 bytes each
/// (kernel/trace/trace_syscalls.c, `struct syscall_trace_enter`).
#[inline(always)]
pub(crate) fn tp_arguments(ctx: &TracePointContext, count: usize) -> [u64; 4] {
    let mut arguments = [0; 4];
    for (index, argument) in arguments.iter_mut().enumerate().take(count) {
        // SAFETY: a checked read of the record.
        *argument = unsafe { ctx.read_at(SYS_ENTER_ARGS.load() as usize + 8 * index) }.unwrap_or(0);
    }
    arguments
}
