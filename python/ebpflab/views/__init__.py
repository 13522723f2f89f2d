"""What people see. Views eat any iterator of readings, live or replayed, and give text."""

from ebpflab.views import count, open, xdp

__all__ = ["count", "open", "xdp"]
