"""What people see: views eat any iterator of readings or events, live or replayed, and give text.

`dashboard` is imported where it is needed, since it needs Textual.
"""

from ebpflab.views import activity, count, exec, open, xdp

__all__ = ["activity", "count", "exec", "open", "xdp"]
