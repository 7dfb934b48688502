"""The head of a connection's last plain request: one that repeats it need not be parsed. It knows no route.

An agent sends the same request line and headers in every report; the length of the body, an id, a trace context, and
the time and the digest of a signature are what differs. Equal bytes mean the same, so only the differing values are
read.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self

MAX_BYTES: Final = 2048
"""Of a head that is kept, so that idle connections hold little memory."""
MAX_BODY_BYTES: Final = 65_536
"""Of a request that repeats a head; a larger one is parsed."""
_LENGTH: Final = b"content-length"
_NUMBER: Final = re.compile(rb"[0-9]{1,9}")
_VISIBLE: Final = re.compile(rb"[!-~]{1,255}")
_VARYING: Final = {
    _LENGTH: _NUMBER,
    b"idempotency-key": _VISIBLE,
    b"x-request-id": _VISIBLE,
    b"traceparent": _VISIBLE,
    b"x-sdk-date": re.compile(rb"[0-9]{8}T[0-9]{6}Z"),
}
"""[header] What it may be in a repeated head. No other header may differ, but the digest of a signature."""
_SIGNED: Final = re.compile(rb"(?i:authorization):[ \t]*(SDK-HMAC-SHA256 [ -~]*Signature=)[0-9a-f]{64}")
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")
_HEADER: Final = re.compile(rb"([!#-'*+.0-9A-Z^-z|~-]+):[ \t]*([!-~]*)")
_END: Final = b"\r\n\r\n"

Changed = list[tuple[bytes, bytes]]


class Repetition(NamedTuple):
    """What a request with a repeated head has of its own."""

    changed: Changed
    """The headers, by lower-case name, with another value than in the head that is repeated; without Content-Length."""
    body_bytes: int
    body: bytes | None
    """None: the rest of it has not arrived."""


class RepeatedHead:
    """The lines of a head, and the indexes of those that may differ."""

    __slots__ = ("_length", "_lines", "_varying")

    def __init__(
        self, lines: list[bytes], length: int, varying: list[tuple[int, bytes, bytes, re.Pattern[bytes], bytes]]
    ) -> None:
        self._lines = lines
        self._length = length
        self._varying = varying
        """The index of a line, its header's name, the bytes before what may differ, its form, those of the value."""

    @classmethod
    def of(cls, head: bytes) -> Self | None:
        """head: the bytes of one request that the parser accepted, to the empty line. None: it cannot be repeated."""
        if len(head) > MAX_BYTES or not head.endswith(_END):
            return None
        lines = head[: -len(_END)].split(b"\r\n")
        varying, length = {}, None
        for index, line in enumerate(lines):
            if b"\n" in line or b"\r" in line or line[:1] in b" \t":  # also an empty line; `in` finds b"" everywhere
                return None
            signed = _SIGNED.fullmatch(line) if index else None
            if signed is not None:
                if b"authorization" in varying:
                    return None
                varying[b"authorization"] = (index, b"authorization", line[: signed.end(1)], _DIGEST, signed[1])
                continue
            header = _HEADER.fullmatch(line)
            name = header[1].lower() if header is not None and index else b""
            if header is not None and name in _VARYING:
                if name in varying or not _VARYING[name].fullmatch(header[2]):
                    return None
                varying[name] = (index, name, line[: header.start(2)], _VARYING[name], b"")
                length = int(header[2]) if name == _LENGTH else length
        return None if length is None else cls(lines, length, list(varying.values()))

    def repetition(self, data: bytes) -> Repetition | None:
        """The parts of a request that repeats this head; None: `data` is not one, or has more than it."""
        end = data.find(_END)
        if end < 0:
            return None
        lines, own, body, length = data[:end].split(b"\r\n"), self._lines, data[end + len(_END) :], self._length
        changed: Changed = []
        if lines != own:
            if len(lines) != len(own):
                return None
            for index, name, before, form, kept in self._varying:
                line = lines[index]
                if line != own[index]:
                    value = line[len(before) :]
                    if not line.startswith(before) or not form.fullmatch(value):
                        return None
                    lines[index] = own[index]
                    if name == _LENGTH:
                        length = int(value)
                    else:
                        changed.append((name, kept + value))
            if lines != own:
                return None
        if len(body) > length or length > MAX_BODY_BYTES:
            return None
        return Repetition(changed, length, body if len(body) == length else None)
