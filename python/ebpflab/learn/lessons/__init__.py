"""The lessons, a folder each: theory, hints, sources, and the check."""
