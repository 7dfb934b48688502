"""`python -m compose` is `taskstream`: how the stack starts its own processes, wherever the script lies."""

from __future__ import annotations

from compose.cli import main

if __name__ == "__main__":
    main()
