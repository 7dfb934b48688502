"""What can go wrong in this room, as one tree; it knows no HTTP library and no Kafka.

ProducerError
├── TokenUnusable          the token or its file cannot be sent as a header
├── CopyRefused            the agent will not begin: what and why is in the message
│   └── DestinationUnusable ... because of the destination as it is now, not of what was asked
├── CredentialsUnusable    a file of tokens or keys cannot be used
├── IdentityUnavailable    the identity service did not answer, or refuses us
├── NotAcked               Kafka did not say that it has the event; trying again is safe
│   ├── QueueFull          ... and it was not even queued: too much is on its way
│   └── RecordTooLarge     ... and never will: the event is larger than Kafka takes
└── EdgeError              speaking to the edge failed; carries attempts, status, error_code, request_id
    ├── RequestRefused     the edge's answer is final: the same request would be refused again
    │   └── CallerRefused  ... because of who asks (401, 403)
    ├── EdgeUnavailable    no final answer within the deadline; the same request may be sent later
    └── AnswerUnreadable   the edge said 200 with a body that is not what was asked for
"""


class ProducerError(Exception):
    """The root of everything that this room raises on purpose."""


class TokenUnusable(ProducerError):
    """The token or its file cannot be sent as a header; the message never shows the token."""


class SourceUnusable(ProducerError):
    """The agent will not begin to copy: what and why is in the message."""


class DestinationUnusable(SourceUnusable):
    """The destination as it is now will not do: not writable, or another agent is at work there."""


class CredentialsUnusable(ProducerError):
    """A file of tokens or keys cannot be used; the message names the line and nothing secret of it."""


class IdentityUnavailable(ProducerError):
    """The identity service did not answer, or refuses us: nobody's fault who calls us."""


class NotAcked(ProducerError):
    """Kafka did not say that it has the event; it may have it all the same. `reason` is librdkafka's name for it."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class QueueFull(NotAcked):
    """Too much is on its way to Kafka; this event was not queued."""


class RecordTooLarge(NotAcked):
    """The event is larger than Kafka takes, now and later."""


class EdgeError(ProducerError):
    """Speaking to the edge failed.

    `attempts` counts the requests that were sent; `status` is None when no answer came; `error_code`,
    `error_msg` and `request_id` are the edge's own words, empty where it gave none; `retry_after_s` is how
    long it asked to be left alone, as of its last answer.
    """

    def __init__(
        self,
        message: str,
        *,
        attempts: int = 1,
        status: int | None = None,
        error_code: str = "",
        error_msg: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.status = status
        self.error_code = error_code
        self.error_msg = error_msg
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class RequestRefused(EdgeError):
    """The edge's answer is final: the same request would be refused again."""


class CallerRefused(RequestRefused):
    """The edge refused who asks: 401 or 403."""


class EdgeUnavailable(EdgeError):
    """No final answer within the deadline; the same request may be sent again later."""


class AnswerUnreadable(EdgeError):
    """The edge said 200 with a body that is not what was asked for."""
