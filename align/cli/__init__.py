"""`align` on the command line."""

from align.cli.commands import app, main

__all__ = ["app", "main"]
