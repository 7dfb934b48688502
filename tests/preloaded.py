"""What the processes of `tests/programs.py` have imported and compiled before they begin."""

from __future__ import annotations

import importlib

from taskstream.compose.cli.commands import COMMANDS
from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.schemas.ids import TableIds

for _name, _command in COMMANDS.items():
    importlib.import_module(f"taskstream.compose.cli.{_command.folder}.{_name}")
warm_up_jit(TableIds())
