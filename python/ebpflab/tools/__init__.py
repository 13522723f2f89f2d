"""The tools, one module each: a function that attaches, and the session it returns."""
