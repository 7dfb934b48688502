"""Files of tokens and keys as the edge and the view want them: for their owner alone."""

from __future__ import annotations

from pathlib import Path


def write_private(path: Path, text: str) -> Path:
    """Write the file with mode 600, whatever the umask and whether it exists."""
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)
    return path
