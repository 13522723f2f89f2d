"""`python -m ebpflab`."""

from ebpflab.cli import main

main()
