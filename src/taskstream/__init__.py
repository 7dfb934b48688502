"""Server-migration progress as an event stream: the Python API for analysts and for authors of agents.

Only the names in `__all__` are stable between releases; every other module can change.

- `batches` reads a range of a topic as Arrow record batches. It returns a `TopicBatches`; an `Unreadable` describes a
  record that it skipped.
- `ProgressClient` reports progress to an edge, and reads a task from a view; `AsyncProgressClient` is the same for
  asyncio. A `Report` is one report, an
  `Acknowledgement` the response of the edge, a `RetryPolicy` the limits of retries, an `AuthToken` the credentials.
- `ConsumerError`, `ProducerError` and `SchemasError` are the base classes of the errors that these raise.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskstream.consumer.errors import ConsumerError
    from taskstream.consumer.export.topic_batches import TopicBatches, Unreadable, batches
    from taskstream.producer.client.async_client import AsyncProgressClient
    from taskstream.producer.client.auth_token import AuthToken
    from taskstream.producer.client.progress_client import Acknowledgement, ProgressClient, Report
    from taskstream.producer.client.retry_policy import RetryPolicy
    from taskstream.producer.errors import ProducerError
    from taskstream.schemas.errors import SchemasError

__all__ = [
    "Acknowledgement",
    "AsyncProgressClient",
    "AuthToken",
    "ConsumerError",
    "ProducerError",
    "ProgressClient",
    "Report",
    "RetryPolicy",
    "SchemasError",
    "TopicBatches",
    "Unreadable",
    "batches",
]

_HOMES = {
    "Acknowledgement": "producer.client.progress_client",
    "AsyncProgressClient": "producer.client.async_client",
    "AuthToken": "producer.client.auth_token",
    "ConsumerError": "consumer.errors",
    "ProducerError": "producer.errors",
    "ProgressClient": "producer.client.progress_client",
    "Report": "producer.client.progress_client",
    "RetryPolicy": "producer.client.retry_policy",
    "SchemasError": "schemas.errors",
    "TopicBatches": "consumer.export.topic_batches",
    "Unreadable": "consumer.export.topic_batches",
    "batches": "consumer.export.topic_batches",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import taskstream` loads no heavy package."""
    if name not in _HOMES:
        raise AttributeError(f"module 'taskstream' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"taskstream.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
