"""`python -m taskstream` runs the command line; `taskstream up` starts its processes in this way."""

from __future__ import annotations

from taskstream.compose.cli import main

if __name__ == "__main__":
    main()
