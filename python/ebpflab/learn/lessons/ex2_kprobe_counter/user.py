"""Loads the program of this folder, attaches it, and prints its counts every two seconds: `python user.py`, as root."""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print the ten busiest processes until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        where = obj.programs["counted"].attach()
        print(f"attached to {where}; Ctrl-C ends it", flush=True)
        counts = obj.maps["COUNTS"]
        while True:
            time.sleep(2)
            busiest = sorted(counts.items(), key=lambda item: -item[1])[:10]
            print(*(f"pid {pid} opened {count} files" for pid, count in busiest), sep="\n", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
