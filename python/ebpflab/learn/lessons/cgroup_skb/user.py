"""Loads the program of this folder for a cgroup, and prints what it sends: `python user.py CGROUP [PORT]`, as root.

CGROUP is a folder of the cgroup v2 hierarchy, /sys/fs/cgroup mostly, and PORT one that is forbidden.
"""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print the ports every two seconds until Ctrl-C."""
    if not sys.argv[1:]:
        raise ValueError("say which cgroup: python user.py CGROUP [PORT], with /sys/fs/cgroup for all")
    cgroup, *port = sys.argv[1:]
    with ebpflab.load(learn.build()) as obj:
        obj.globals["BLOCKED"] = int(*port)
        obj.programs["sends"].attach(cgroup)
        print("attached; Ctrl-C ends it", flush=True)
        while True:
            time.sleep(2)
            for name in ("SENT", "DENIED"):
                print(name, *(f"{port}: {count}" for port, count in sorted(obj.maps[name].items())), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
