//! The records of the tracepoints `sys_exit_*`.

use aya_ebpf::{Global, programs::TracePointContext};

/// Offset of `ret` in a `sys_exit_*` record, from the format file.
#[unsafe(no_mangle)]
static SYS_EXIT_RET: Global<u32> = Global::new(16);

/// The result in a `sys_exit_*` record.
#[inline(always)]
pub(crate) fn tp_ret(ctx: &TracePointContext) -> Option<i64> {
    // SAFETY: a checked read of the record.
    unsafe { ctx.read_at(SYS_EXIT_RET.load() as usize) }.ok()
}
