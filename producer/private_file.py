"""Whether a file with a secret is private: others than its owner can neither read nor write it."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

_OTHERS = 0o077
_OTHERS_BUT_GROUP_READ = 0o037


def exposure(path: Path, found: os.stat_result, own_uid: int | None = None) -> str | None:
    """Why the file is not private, with the command that changes it; None if it is.

    The group may read a file of root when this process is not root's: orchestrators mount secrets like that. This is
    PostgreSQL's rule for key files. `own_uid`: of this process.
    """
    uid = os.geteuid() if own_uid is None else own_uid
    of_root = found.st_uid == 0 and uid != 0
    mode = stat.S_IMODE(found.st_mode)
    if not mode & (_OTHERS_BUT_GROUP_READ if of_root else _OTHERS):
        return None
    return (
        f"{path} has the mode {mode:o}, so others than its owner can read or write it: run `chmod "
        f"{'640' if of_root else '600'} {shlex.quote(str(path))}`"
    )
