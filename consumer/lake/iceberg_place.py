"""Where the Iceberg tables of a lake are: the catalogue, the folder of the files, and pyiceberg's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from taskstream.consumer.errors import LakeUnusable

CATALOG_NAME = "taskstream"
"""The name of the catalogue in pyiceberg's own configuration, and in the rows of an SQL catalogue."""
CATALOG_FILE = "catalog.db"
_ANY_REGION = "us-east-1"
"""Of a store that is not AWS. pyiceberg asks AWS when it knows no region."""


@dataclass(frozen=True, slots=True)
class IcebergPlace:
    """The place of the tables."""

    name: str
    """As the user wrote it."""
    catalog: str
    """The catalogue's URI: sqlite:///FILE, postgresql+psycopg2://..., http://... (REST), what pyiceberg takes."""
    warehouse: str
    """The URI of the folder that new tables are made in."""
    folder: Path | None
    """The same on the local disk; None for an object store."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """pyiceberg's settings of the object store."""


def iceberg_place(place: str, catalog: str | None) -> IcebergPlace:
    """place: a folder, or s3://BUCKET/PATH as `filesystem_of` takes it. catalog: None for SQLite in the folder.

    Raises:
        LakeUnusable: there is no such place for Iceberg tables, or an object store is to have the catalogue.
    """
    if "://" not in place:
        folder = Path(place).absolute()
        if {*"?#"} & {*str(folder)}:
            raise LakeUnusable(f"{place}: the folder of Iceberg tables cannot have ? or # in its path")
        return IcebergPlace(place, catalog or f"sqlite:///{folder / CATALOG_FILE}", f"file://{folder}", folder)
    parts = urlsplit(place)
    settings = dict(parse_qsl(parts.query))
    unknown = settings.keys() - {"endpoint_override", "scheme", "region"}
    if parts.scheme != "s3" or "@" in parts.netloc or unknown:
        raise LakeUnusable(
            f"{place}: Iceberg tables are in a folder or in s3://BUCKET/PATH, with endpoint_override, scheme and region"
        )
    if catalog is None:
        raise LakeUnusable(f"{place}: the catalogue of Iceberg tables in an object store must be elsewhere")
    properties = {}
    if endpoint := settings.get("endpoint_override"):
        properties["s3.endpoint"] = f"{settings.get('scheme', 'https')}://{endpoint}"
    if region := settings.get("region", _ANY_REGION if endpoint else None):
        properties["s3.region"] = region
    return IcebergPlace(place, catalog, f"s3://{parts.netloc}{parts.path.rstrip('/')}", None, properties)
