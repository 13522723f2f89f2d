"""Kernel observability for people who live in Python: typed events out of the running Linux kernel.

>>> import ebpflab
>>> with ebpflab.xdp("lo") as counter:
...     counter.read()["tcp"]
PacketCount(packets=0, bytes=0)
"""

import lazy_loader

# What there is says the stub beside this file. It is imported when it is first asked for: all of it takes longer than a
# tool takes to attach.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
