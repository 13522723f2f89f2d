"""The typed records that tools give out. Their fields are declared once, in crates/loader/src/records.rs.

Events are native: they keep the kernel's record and look into it when a field is asked for. For all else they are
frozen dataclasses like the others; `help` tells what each field is.

A record is a class of the module that is named like its tool or subject, and imported when it is first asked for: to
make all these classes takes longer than to attach a tool. What there is says the stub beside this file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
