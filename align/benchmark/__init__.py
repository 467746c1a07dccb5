"""The benchmark: what is run, what was run, and what it says."""
