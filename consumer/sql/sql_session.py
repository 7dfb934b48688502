"""A SQL query over views of topics or of a lake: the views that it names become tables of a temporary DuckDB database.

A view is read when a query names it, once, into a file on the disk: a range may be larger than the memory.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from taskstream.consumer.errors import BadQuery, DuckdbMissing


class SqlSession:
    """`with SqlSession(views) as session: table = session.run(query)`."""

    def __init__(
        self, views: Mapping[str, Callable[[], pa.RecordBatchReader]], on_view: Callable[[str, int], None]
    ) -> None:
        """views: [name] how the rows are read. on_view: called with the name and the rows of a view that was read."""
        self._views = views
        self._on_view = on_view
        self._read: set[str] = set()
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Raises DuckdbMissing: DuckDB is not installed."""
        try:
            self._duckdb: Any = importlib.import_module("duckdb")
        except ImportError as error:
            raise DuckdbMissing("SQL needs DuckDB, which is not installed") from error
        folder = self._opened.enter_context(tempfile.TemporaryDirectory(prefix="taskstream-sql-"))
        offline = {"autoinstall_known_extensions": "false"}
        self._connection = self._duckdb.connect(str(Path(folder) / "views.duckdb"), config=offline)
        self._opened.callback(self._connection.close)
        self._connection.execute("set TimeZone = 'UTC'")
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run(self, query: str) -> pa.Table:
        """The rows of a query; an empty table without columns for a statement that returns none.

        Raises:
            BadQuery: DuckDB refuses the query.
            ConsumerError: a view cannot be read.
        """
        try:
            for name in sorted(self._connection.get_table_names(query) & self._views.keys() - self._read):
                self._load(name)
            rows = self._connection.sql(query)
            return pa.table({}) if rows is None else rows.to_arrow_table()
        except self._duckdb.Error as error:
            raise BadQuery(f"{error}; the views are {', '.join(self._views)}") from error

    def _load(self, name: str) -> None:
        self._connection.register("rows_to_read", self._views[name]())
        self._connection.table("rows_to_read").create(name)
        self._connection.unregister("rows_to_read")
        self._read.add(name)
        self._on_view(name, self._connection.table(name).count("*").fetchall()[0][0])
