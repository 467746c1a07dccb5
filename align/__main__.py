"""`python -m align`: the command line."""

from align.cli import main

main()
