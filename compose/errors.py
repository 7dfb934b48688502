"""The errors of `compose`: configuration, the local stack, the command line's own requests.

ComposeError
├── MissingProgramError         java or mvn is not on the PATH
├── KafkaInstallError           Maven could not download Kafka
├── RegistryInstallError        Maven could not download the schema registry
├── BrokerStartError            the local Kafka did not become ready
├── BrokerCountDiffers          the folder holds a Kafka of another number of brokers (brokers)
├── PortInUseError              another program listens on a port
│   ├── ListenAddressUnusable   ... on that of a server that starts
│   └── StackPortTaken          ... on that of a process of the local stack (process)
├── TlsUnusable                 a certificate or its key cannot be used
├── NotifyConfigInvalid         the configuration file of the notifier cannot be used
├── SettingsFileInvalid         the settings file of all commands cannot be used
├── NoCredentialsConfigured     a server would refuse every request
├── KafkaPropertyError          a librdkafka setting is malformed or unknown
│   └── NoBrokersNamed          no brokers are configured
├── ProcessStartError           a supervised process did not become ready in time
├── TopicsError                 the cluster did not describe or create the topics
│   └── TopicsDiffer            the topics are not as declared and must not be used (differences)
├── OutputUnwritable            standard output cannot be written: the disk is full, perhaps
├── DemoError                   the demonstration failed, or agent and view disagree
└── ViewError                   a request to the view failed
    ├── ViewUnreachable         no response, or not in time
    │   └── ViewUntrusted       the view's certificate is not trusted
    └── ViewRefused             a response other than the one requested (status)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskstream.schemas.topics import Difference


class ComposeError(Exception):
    """Root of this room's errors; str() is one sentence for a person."""


class OutputUnwritable(ComposeError):
    """Standard output cannot be written."""


class MissingProgramError(ComposeError):
    """A program that taskstream starts is not installed."""


class KafkaInstallError(ComposeError):
    """Maven failed, or did not download Kafka."""


class RegistryInstallError(ComposeError):
    """Maven failed, or did not download the schema registry."""


class BrokerStartError(ComposeError):
    """The local Kafka exited or did not answer before it was ready."""


class BrokerCountDiffers(ComposeError):
    """The data folder holds a local Kafka of another number of brokers: `brokers`."""

    def __init__(self, message: str, brokers: int) -> None:
        super().__init__(message)
        self.brokers = brokers


class PortInUseError(ComposeError):
    """Another program listens on a port that was requested by number."""


class ListenAddressUnusable(PortInUseError):
    """A server cannot listen on its address: the port is taken, or the host is not an address of this machine."""


class StackPortTaken(PortInUseError):
    """The port of `process` is taken: kafka, registry, edge, view or worker metrics."""

    def __init__(self, message: str, process: str) -> None:
        super().__init__(message)
        self.process = process


class TlsUnusable(ComposeError):
    """A certificate or its key cannot be used."""


class NotifyConfigInvalid(ComposeError):
    """The configuration file of the notifier, or a file of secrets that it names, cannot be used."""


class SettingsFileInvalid(ComposeError):
    """The settings file of all commands cannot be read, or a key or value in it is wrong."""


class NoCredentialsConfigured(ComposeError):
    """No kind of credentials is configured: the server would refuse every request."""


class KafkaPropertyError(ComposeError):
    """A librdkafka setting is not of the form key=value, or librdkafka rejects it."""


class NoBrokersNamed(KafkaPropertyError):
    """No Kafka brokers are configured."""


class ProcessStartError(ComposeError):
    """A process of the local stack did not become ready before its deadline."""


class TopicsError(ComposeError):
    """The cluster did not describe its topics, or did not create them as declared."""


class TopicsDiffer(TopicsError):
    """The topics differ from their declaration in a way that the pipeline must not run on."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        super().__init__("; ".join(f"{each.topic} {each.what}" for each in differences))
        self.differences = tuple(differences)


class DemoError(ComposeError):
    """The demonstration failed, or the agent and the view disagree."""


class ViewError(ComposeError):
    """A request to the view failed."""


class ViewUnreachable(ViewError):
    """The view did not respond, or not in time."""


class ViewUntrusted(ViewUnreachable):
    """The view's certificate is not trusted."""


class ViewRefused(ViewError):
    """The view sent a response other than the one requested; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def retriable(self) -> bool:
        """Whether a later attempt at the same request can succeed."""
        return self.status >= 500 or self.status == 429
