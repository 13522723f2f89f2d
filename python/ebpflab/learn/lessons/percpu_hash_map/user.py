"""Loads the program of this folder, attaches it, and prints its counts, by CPU: `python user.py`, as root."""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print the ten busiest processes every two seconds until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        obj.programs["counted"].attach()
        counts = obj.maps["COUNTS"]
        while True:
            time.sleep(2)
            # A value is the sum over all CPUs; per_cpu has them apart.
            for pid, count in sorted(counts.items(), key=lambda item: -item[1])[:10]:
                print(f"pid {pid} opened {count} files, by CPU {counts.per_cpu(pid)}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
