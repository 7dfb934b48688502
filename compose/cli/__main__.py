"""`python -m compose.cli` is the command line too."""

from compose.cli import main

main()
