"""`python -m taskstream` is `taskstream`: how the stack starts its own processes, wherever the script lies."""

from __future__ import annotations

from taskstream.compose.cli import main

if __name__ == "__main__":
    main()
