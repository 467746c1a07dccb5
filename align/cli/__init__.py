"""`align` on the command line."""

from align.cli.commands import main, whole

__all__ = ["app", "main"]


def __getattr__(name: str) -> object:
    """`app` with other packages' commands; they import this one, so not before it is asked for."""
    if name == "app":
        return whole()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
