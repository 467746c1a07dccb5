"""The book's own benchmarks; `align.load` finds them by their entry points."""
