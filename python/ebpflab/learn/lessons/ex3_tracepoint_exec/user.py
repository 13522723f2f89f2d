"""Loads the program of this folder, attaches it, and prints what it tells: `python user.py`, as root."""

from __future__ import annotations

import struct
import sys

import ebpflab
from ebpflab import learn

#: `ExecEvent` of common.rs. Perf buffers carry any bytes, so the object does not tell of which type they are.
EVENT = struct.Struct("=II256s")


def main() -> None:
    """Print executed programs until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        events = obj.maps["EVENTS"].events()
        where = obj.programs["executed"].attach()
        print(f"attached to {where}; Ctrl-C ends it", flush=True)
        for record in events:
            pid, old_pid, filename = EVENT.unpack_from(record)
            name = filename.split(b"\0")[0].decode(errors="backslashreplace")
            print(f"pid {pid} (before {old_pid}) executes {name}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
