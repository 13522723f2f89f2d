"""What people see: views eat any iterator of readings or events, live or replayed, and give text.

`dashboard` is imported where it is needed, since it needs Textual.
"""

import lazy_loader

# What there is says the stub beside this file; each view is imported when it is first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
