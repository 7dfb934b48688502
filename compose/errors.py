"""What can go wrong while the parts are put together. It knows the tree and no part.

ComposeError
├── MissingProgramError     java or mvn is not on the PATH
├── KafkaInstallError       Maven could not bring Kafka
├── BrokerStartError        the local Kafka did not become ready
├── PortInUseError          somebody else listens where we were told to
├── TlsUnusable             a certificate or its key cannot be used
├── KafkaPropertyError      a librdkafka setting that cannot be read
├── ProcessStartError       a supervised process did not become ready in time
├── TopicsError             the cluster did not tell or create its topics
├── DemoError               the demonstration could not be made, or its two ends differ
└── ViewError               asking the view failed
    ├── ViewUnreachable     nobody answered, or not in time
    └── ViewRefused         it answered, and not with what was asked for (status)
"""

from __future__ import annotations


class ComposeError(Exception):
    """Root of this room: its message is one line for the person at the terminal."""


class MissingProgramError(ComposeError):
    """A program that we start is not installed."""


class KafkaInstallError(ComposeError):
    """Maven failed, or brought something else than Kafka."""


class BrokerStartError(ComposeError):
    """The local Kafka ended, or did not answer, before it was ready."""


class PortInUseError(ComposeError):
    """A port that was asked for by number is taken."""


class TlsUnusable(ComposeError):
    """A certificate or its key cannot be used."""


class KafkaPropertyError(ComposeError):
    """A librdkafka setting is not of the form key=value, or not one that librdkafka knows."""


class ProcessStartError(ComposeError):
    """A process of the stack did not become ready before its deadline."""


class TopicsError(ComposeError):
    """The cluster did not tell its topics, or did not create them as declared."""


class DemoError(ComposeError):
    """The demonstration could not be made, or its two ends differ."""


class ViewError(ComposeError):
    """Asking the view failed."""


class ViewUnreachable(ViewError):
    """Nobody answered at the view's address, or not in time."""


class ViewRefused(ViewError):
    """The view answered, and not with what was asked for; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def retriable(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status >= 500 or self.status == 429
