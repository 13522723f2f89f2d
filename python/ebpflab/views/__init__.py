"""What people see. Views eat any iterator of readings, live or replayed, and give text."""

from ebpflab.views import count, exec, open, xdp

__all__ = ["count", "exec", "open", "xdp"]
