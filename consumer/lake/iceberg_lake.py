"""A lake as Apache Iceberg tables, one per topic, when pyiceberg is installed. It reads no topic.

One commit of the catalogue has records and the offsets after them. A kill leaves both or neither, and perhaps files of
no snapshot. The offsets are in the summary of the snapshot: a table that is rolled back goes on from there. They
are also in the table's properties, where they remain when the snapshot expires.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.errors import IcebergMissing, LakeUnusable
from taskstream.consumer.lake.day_and_project import DAY_US, END_DAY, FIRST_DAY
from taskstream.consumer.lake.iceberg_place import CATALOG_NAME, IcebergPlace
from taskstream.consumer.lake.lake_commit import LakeCommit
from taskstream.consumer.lake.lake_store import OWN
from taskstream.consumer.lake.lake_writer import LakePiece
from taskstream.consumer.regular_file import lock_alone, open_regular
from taskstream.schemas.errors import cause_of

STATE = "taskstream.lake"
"""The property of snapshots and tables that has a `TableState`."""
KEEP_MS = 5 * DAY_US // 1000
"""A snapshot expires when the newest one is this much younger: Iceberg's own default."""
EXPIRE_AT_ONCE = 100
"""So many snapshots expire together: each time writes the table's metadata once more."""
_ATTEMPTS = 5
_NEW_TABLE = {
    # Files are not named after their partition: a project's name may be too long for a folder.
    "write.object-storage.enabled": "true",
    "write.object-storage.partitioned-paths": "false",
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
}


@dataclass(frozen=True, slots=True)
class LakeTable:
    """What the table of a topic is made of."""

    columns: pa.Schema
    """Of this release."""
    time_column: str
    """The time whose UTC day is a partition, beside `project_id`."""


@dataclass(frozen=True, slots=True)
class TableState:
    """How far a topic is in its table."""

    topic_id: str
    """Kafka's id of the topic."""
    positions: Mapping[int, int]
    """[partition] The offset after the last record in the table."""
    rows: int = 0
    unreadable: int = 0


class IcebergLake:
    """`with IcebergLake(place, tables) as lake`: inside, `lake.current` says how far the tables are.

    In a folder, a lock keeps a second process out. Elsewhere the catalogue does: the process that commits second fails.
    Commits of other programs, which only rearrange the files, disturb nobody.
    """

    def __init__(
        self,
        place: IcebergPlace,
        tables: Mapping[str, LakeTable],
        keep_ms: int = KEEP_MS,
        expire_at_once: int = EXPIRE_AT_ONCE,
    ) -> None:
        """tables: [topic] the topics that are followed. Their names are those of the tables: NAMESPACE.TABLE."""
        self._place = place
        self._tables = tables
        self._keep_ms = keep_ms
        self._expire_at_once = expire_at_once
        self._catalog: Any = None
        self._errors: tuple[type[Exception], ...] = ()
        self._states: dict[str, TableState] = {}
        self._changed: set[str] = set()
        """Topics whose table has new snapshots since `merge` was called."""
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Raises IcebergMissing: pyiceberg is not installed; LakeUnusable: the catalogue, or another process writes."""
        try:
            self._pyiceberg: Any = importlib.import_module("pyiceberg.exceptions")
            self._transforms: Any = importlib.import_module("pyiceberg.transforms")
            importlib.import_module("pyiceberg_core")
            sql: Any = importlib.import_module("sqlalchemy.exc")
            catalogs: Any = importlib.import_module("pyiceberg.catalog")
        except ImportError as error:
            raise IcebergMissing("an Iceberg lake needs pyiceberg, which is not installed") from error
        of_pyiceberg = [
            each for each in vars(self._pyiceberg).values() if isinstance(each, type) and issubclass(each, Exception)
        ]
        self._errors = (*of_pyiceberg, sql.SQLAlchemyError, OSError, ValueError, ImportError, pa.ArrowException)
        with self._opened, self._told():
            if self._place.folder is not None:
                lock = self._place.folder / OWN / "lock"
                lock.parent.mkdir(parents=True, exist_ok=True)
                file = self._opened.enter_context(open_regular(lock, "a+b"))
                lock_alone(file, LakeUnusable(f"another process writes the lake {self._place.name}: only one may"))
            self._catalog = catalogs.load_catalog(
                CATALOG_NAME, uri=self._place.catalog, warehouse=self._place.warehouse, **self._place.properties
            )
            self._opened.callback(self._catalog.close)
            for topic in self._tables:
                if self._catalog.table_exists(topic):
                    self._states[topic] = self._state_of(self._catalog.load_table(topic))
            self._opened = self._opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def current(self) -> LakeCommit:
        """What the tables of these topics have."""
        states = self._states.items()
        return LakeCommit(
            positions={topic: state.positions for topic, state in states},
            topic_ids={topic: state.topic_id for topic, state in states},
            rows={topic: state.rows for topic, state in states},
            unreadable={topic: state.unreadable for topic, state in states},
        )

    def begin(self, topic: str, topic_id: str, positions: Mapping[int, int]) -> None:
        """Make the table of a topic, empty.

        Raises:
            LakeUnusable: the catalogue refuses it.
        """
        state, table = TableState(topic_id, dict(positions)), self._tables[topic]
        with self._told():
            self._catalog.create_namespace_if_not_exists(topic.rpartition(".")[0])
            properties = {**_NEW_TABLE, **_properties(table.columns, state)}
            with (
                self._catalog.create_table_transaction(topic, _documented(table.columns), properties=properties) as new,
                new.update_spec() as spec,
            ):
                spec.add_field(table.time_column, self._transforms.DayTransform(), "day")
                spec.add_field("project_id", self._transforms.IdentityTransform(), "project")
        self._states[topic] = state

    def add(self, piece: LakePiece) -> int:
        """Commit a piece; returns how many files it became. A record whose day is of no calendar counts as unreadable.

        Raises:
            LakeUnusable: the tables cannot be written, or another process writes the lake.
        """
        before = self._states[piece.topic]
        rows = _of_calendar(piece.table, piece.time_column)
        state = replace(
            before,
            positions=dict(piece.positions),
            rows=before.rows + rows.num_rows,
            unreadable=before.unreadable + piece.unreadable + piece.table.num_rows - rows.num_rows,
        )
        with self._told():
            for attempt in range(_ATTEMPTS):
                table = self._catalog.load_table(piece.topic)
                if self._state_of(table) != before:
                    raise LakeUnusable(f"another process writes the lake {self._place.name}: only one may")
                try:
                    self._append(table, rows, state)
                    break
                except self._pyiceberg.CommitFailedException:
                    if attempt == _ATTEMPTS - 1:
                        raise
        self._states[piece.topic] = state
        self._changed.add(piece.topic)
        return int(table.current_snapshot().summary["added-data-files"] or 0)

    def merge(self) -> int:
        """Let old snapshots expire. Files are left as they are, so 0 is returned: merging is the query engine's.

        Raises:
            LakeUnusable: the tables cannot be written.
        """
        with self._told():
            for topic in sorted(self._changed):
                table = self._catalog.load_table(topic)
                end_ms = table.current_snapshot().timestamp_ms - self._keep_ms
                if sum(each.timestamp_ms < end_ms for each in table.snapshots()) >= self._expire_at_once:
                    table.maintenance.expire_snapshots().older_than(datetime.fromtimestamp(end_ms / 1000, UTC)).commit()
        self._changed.clear()
        return 0

    def _append(self, table: Any, rows: pa.Table, state: TableState) -> None:
        """One commit, also without rows: only a new snapshot fails when another process has added one."""
        known = {each.name for each in table.schema().fields}
        # A column that older records lack is null in them, whatever the schema of newer ones demands.
        wanted = [each if each.name in known else each.with_nullable(nullable=True) for each in rows.schema]
        properties = _properties(rows.schema, state)
        with table.transaction() as commit:
            with commit.update_schema() as update:
                update.union_by_name(_documented(pa.schema(wanted)))
            commit.set_properties(properties)
            commit.append(rows, snapshot_properties={STATE: properties[STATE]})

    def _state_of(self, table: Any) -> TableState:
        """That of the newest snapshot which has one: programs that rearrange files add snapshots without."""
        snapshot = table.current_snapshot()
        while snapshot is not None and not (snapshot.summary and snapshot.summary[STATE]):
            parent = snapshot.parent_snapshot_id
            snapshot = None if parent is None else table.snapshot_by_id(parent)
        text = table.properties.get(STATE) if snapshot is None else snapshot.summary[STATE]
        name = ".".join(table.name())
        if text is None:
            raise LakeUnusable(f"the table {name} exists and is not of `taskstream lake`: begin another lake")
        try:
            found = json.loads(text)
            positions = {int(each): int(offset) for each, offset in found.pop("positions").items()}
            return TableState(positions=positions, **found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LakeUnusable(f"the property {STATE} of the table {name} does not say how far it is") from error

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise LakeUnusable(f"the lake {self._place.name} cannot be read or written: {cause_of(error)}") from error


def _properties(columns: pa.Schema, state: TableState) -> dict[str, str]:
    """What a table's properties must be for its next commit."""
    # pyiceberg reads the bounds of a time as Python's datetime, which ends with the year 9999.
    unbounded = [each.name for each in columns if pa.types.is_timestamp(each.type)]
    return {
        STATE: json.dumps(asdict(state)),
        # pyiceberg would add rows again on top of another writer's.
        "commit.retry.num-retries": "0",
        **{f"write.metadata.metrics.column.{each}": "counts" for each in unbounded},
    }


def _of_calendar(table: pa.Table, time_column: str) -> pa.Table:
    """The rows whose time is in the years 1 to 9999: pyiceberg writes no partition of another day."""
    begin, end = (pa.scalar(day * DAY_US).cast(table.schema.field(time_column).type) for day in (FIRST_DAY, END_DAY))
    return table.filter((pc.field(time_column) >= begin) & (pc.field(time_column) < end))


def _documented(columns: pa.Schema) -> pa.Schema:
    """The columns with their descriptions and units where pyiceberg looks for them."""
    return pa.schema([each.with_metadata({"doc": doc} if (doc := _doc(each)) else {}) for each in columns])


def _doc(column: pa.Field) -> str:
    found: dict[bytes, bytes] = column.metadata or {}
    unit = f" Unit: {found[b'unit'].decode()}." if b"unit" in found else ""
    return found.get(b"description", b"").decode() + unit
