"""The errors of this room, as one tree. It knows no HTTP library and no Kafka client.

ProducerError
├── TokenUnusable            the token, or the file that should hold it, is not usable as a header
├── CopyJobError             the agent cannot start the copy: the source or the destination is invalid
│   └── DestinationUnusable  the destination is valid but not usable now: not writable, or locked by another agent
├── CredentialsUnusable      a file of tokens or keys cannot be used
├── IdentityUnavailable      the identity service did not answer, or refused the edge's own credentials
├── NotAcked                 Kafka did not acknowledge the event; sending it again is safe
│   ├── QueueFull            the event was not queued: the producer's queue is full
│   └── RecordTooLarge       the event is larger than Kafka accepts, now and later
└── EdgeError                a request to the edge failed (attempts, status, error_code, request_id)
    ├── RequestRefused       a final response: the edge would refuse the same request again
    │   └── CallerRefused    the token is missing, wrong, or lacks a role (401, 403)
    ├── EdgeUnavailable      no final response within the deadline; the same request may succeed later
    └── AnswerUnreadable     the response is 200 with an unexpected body
"""


class ProducerError(Exception):
    """The root of this room's errors."""


class TokenUnusable(ProducerError):
    """The token, or the file that should hold it, is not usable as a header. The message never shows the token."""


class CopyJobError(ProducerError):
    """The agent cannot start the copy: the source or the destination is invalid."""


class DestinationUnusable(CopyJobError):
    """The destination is valid but not usable now: it is not writable, or another agent copies to it."""


class CredentialsUnusable(ProducerError):
    """A file of tokens or keys cannot be used. The message names the line and shows no secret."""


class IdentityUnavailable(ProducerError):
    """The identity service did not answer, or refused the edge's own credentials. The caller is not at fault."""


class NotAcked(ProducerError):
    """Kafka did not acknowledge the event, but may have stored it. `reason` is librdkafka's name of the error."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class QueueFull(NotAcked):
    """The producer's queue is full; the event was not queued."""


class RecordTooLarge(NotAcked):
    """The event is larger than Kafka accepts, now and later."""


class EdgeError(ProducerError):
    """A request to the edge failed.

    `attempts` is the number of requests sent. `status` is None if no response arrived. `error_code`, `error_msg` and
    `request_id` are from the last response, empty if it had none. `retry_after_s` is the Retry-After of the last
    response in seconds.
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
    """The response is final: the edge would refuse the same request again."""


class CallerRefused(RequestRefused):
    """The edge refused the token: 401 or 403."""


class EdgeUnavailable(EdgeError):
    """No final response within the deadline; the same request may succeed later."""


class AnswerUnreadable(EdgeError):
    """The response is 200 with an unexpected body."""
