"""A read model filled by hand, as if the rows had come from the state topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.view.read_model.read_model import ReadModel
from tests.consumer.view.views import S, series

NOW = 1_795_435_200 * S


def row(**columns) -> np.ndarray:
    return series(NOW, **columns)


def changes(rows: Mapping[str, np.ndarray], dropped: Iterable[str] = ()) -> StateChanges:
    keys = list(rows)
    held = np.concatenate(list(rows.values())) if keys else row()[:0]
    return StateChanges(
        keys, held, pa.array(["copying"] * len(keys), pa.string()), pa.nulls(len(keys), pa.string()), tuple(dropped)
    )


def model(rows: Mapping[str, np.ndarray], now_us: int = NOW) -> ReadModel:
    made = ReadModel(Settings())
    made.apply(changes(rows), now_us)
    return made


def names(made: ReadModel, tasks) -> list[str]:
    """Ids of these tasks' numbers."""
    return ["/".join(made.tasks.name_of(int(task))) for task in tasks]
