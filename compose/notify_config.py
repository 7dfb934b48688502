"""The configuration file of `taskstream notify`: TOML in, the settings of the notifier out. It connects to nothing.

Pydantic reads what people write; a message names the key, the value and the remedy. Secrets are in files of their own.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from taskstream.compose.errors import NotifyConfigInvalid
from taskstream.consumer.errors import LabelsUnusable, LinkUnfillable
from taskstream.consumer.notify.alert import DEFAULT_KINDS, KINDS
from taskstream.consumer.notify.alertmanager import OWN_LABELS
from taskstream.consumer.notify.quiet_hours import EVERY_DAY, QuietHours
from taskstream.consumer.notify.settings import NotifySettings, Receiver, ReceiverType, Route
from taskstream.consumer.notify.webhook import template_problem
from taskstream.consumer.task_context.link_templates import link_template
from taskstream.consumer.task_context.task_context import TaskContext
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.errors import TokenUnusable
from taskstream.schemas.durations import seconds_of_duration

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _seconds(text: object) -> float:
    seconds = seconds_of_duration(text) if isinstance(text, str) else None
    if not seconds:
        raise ValueError('is not a duration: write "30s", "10m", "1h" or "7d"')
    return seconds


def _time(text: object) -> time:
    hour, _, minute = text.partition(":") if isinstance(text, str) else ("", "", "")
    if len(hour) != 2 or len(minute) != 2 or not f"{hour}{minute}".isdigit() or int(hour) > 23 or int(minute) > 59:
        raise ValueError('is not a time of the day: write "22:00"')
    return time(int(hour), int(minute))


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            "is not an IANA time zone: write one such as Europe/Berlin (Debian: package tzdata)"
        ) from error


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError("is not a URL: write http(s)://HOST[:PORT][/PATH]") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isascii() or not text.isprintable():
        raise ValueError("is not a URL: write http(s)://HOST[:PORT][/PATH]")
    if parts.username is not None:
        raise ValueError("must not hold a password: put a token into a file and name that with token_file")
    return text


def _template(text: str) -> str:
    if problem := template_problem(text):
        raise ValueError(problem)
    return text


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"is not a kind of alert: write one of {', '.join(sorted(KINDS))}")
    return text


def _day(text: str) -> int:
    if text not in _DAYS:
        raise ValueError(f"is not a day: write one of {', '.join(_DAYS)}")
    return _DAYS.index(text)


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if not name.isidentifier() or not name.isascii() or name in OWN_LABELS:
            taken = ", ".join(sorted(OWN_LABELS))
            raise ValueError(f"{name!r} cannot be a label: use letters, digits and _, and none of {taken}")
    return labels


def _links(links: dict[str, str]) -> dict[str, str]:
    for name, template in links.items():
        link_template(name, template)
    return links


_Duration = Annotated[float, BeforeValidator(_seconds)]
_Address = Annotated[str, AfterValidator(_url)]


class _Table(BaseModel):
    """A table of the file: no key is unknown, no value converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class _ReceiverTable(_Table):
    url: _Address
    token_file: str | None = None
    ca_file: str | None = None
    timeout: _Duration = 10.0
    per_minute: float = Field(default=30.0, gt=0)
    burst: int = Field(default=10, ge=1)
    give_up_after: _Duration = 3_600.0


class _AlertmanagerTable(_ReceiverTable):
    type: Literal["alertmanager"]
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = Field(default_factory=dict)
    active_for: _Duration = 7 * 86_400.0
    event_for: _Duration = 900.0
    resend_every: _Duration = 60.0


class _WebhookTable(_ReceiverTable):
    type: Literal["webhook"]
    secret_file: str | None = None
    template: Annotated[str, AfterValidator(_template)] | None = None


class _QuietTable(_Table):
    begins: Annotated[time, BeforeValidator(_time)]
    ends: Annotated[time, BeforeValidator(_time)]
    zone: Annotated[ZoneInfo, BeforeValidator(_zone)]
    days: list[Annotated[int, BeforeValidator(_day)]] = Field(default_factory=lambda: sorted(EVERY_DAY), min_length=1)


class _RouteTable(_Table):
    receivers: list[str] = Field(min_length=1)
    projects: list[str] | None = Field(default=None, min_length=1)
    kinds: list[Annotated[str, AfterValidator(_kind)]] = Field(
        default_factory=lambda: sorted(DEFAULT_KINDS), min_length=1
    )
    quiet: str | None = None


class NotifyConfig(_Table):
    """The file."""

    dead_letter: str
    view: _Address | None = None
    group_for: _Duration = 30.0
    receivers: dict[str, Annotated[_AlertmanagerTable | _WebhookTable, Field(discriminator="type")]] = Field(
        min_length=1
    )
    routes: list[_RouteTable] = Field(min_length=1)
    links: Annotated[dict[str, str], AfterValidator(_links)] = Field(default_factory=dict)
    labels_file: str | None = None
    quiet: dict[str, _QuietTable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_exist(self) -> NotifyConfig:
        for index, route in enumerate(self.routes):
            for name in route.receivers:
                if name not in self.receivers:
                    raise ValueError(f"routes.{index}.receivers: {_no_such(name, 'receivers', self.receivers)}")
            if route.quiet is not None and route.quiet not in self.quiet:
                raise ValueError(f"routes.{index}.quiet: {_no_such(route.quiet, 'quiet', self.quiet)}")
            if len(set(route.receivers)) < len(route.receivers):
                raise ValueError(f"routes.{index}.receivers: a receiver is named twice: remove one")
        for index, route in enumerate(self.routes[:-1]):
            if route.projects is None:
                raise ValueError(
                    f"routes.{index}: it takes every project, so that the routes after it take none: move it to the end"
                )
        return self


def read_notify_config(path: Path, *, topic: str, group: str, bucket_us: int, from_earliest: bool) -> NotifySettings:
    """The settings in a file; paths in it are relative to its folder. Files of secrets are read.

    Raises:
        NotifyConfigInvalid: the file or a file of secrets cannot be used; the message has no secret.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise NotifyConfigInvalid(f"{path} cannot be read ({error.strerror}): name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NotifyConfigInvalid(f"{path} is not TOML: {error}") from error
    try:
        config = NotifyConfig.model_validate(document)
    except ValidationError as error:
        sentences = [_sentence(each) for each in error.errors(include_url=False)]
        raise NotifyConfigInvalid(f"{path}: {'; '.join(sentences)}") from error
    quiet = {
        name: QuietHours(each.begins, each.ends, each.zone, frozenset(each.days)) for name, each in config.quiet.items()
    }
    folder = path.parent
    return NotifySettings(
        topic=topic,
        group=group,
        receivers={name: _receiver(name, each, path) for name, each in config.receivers.items()},
        routes=tuple(
            Route(
                tuple(each.receivers),
                None if each.projects is None else frozenset(each.projects),
                frozenset(each.kinds),
                None if each.quiet is None else quiet[each.quiet],
            )
            for each in config.routes
        ),
        dead_letter=folder / config.dead_letter,
        view_url=config.view,
        bucket_us=bucket_us,
        window_s=config.group_for,
        from_earliest=from_earliest,
        context=_context(config, path),
    )


def _context(config: NotifyConfig, path: Path) -> TaskContext:
    labels_file = None if config.labels_file is None else path.parent / config.labels_file
    try:
        return TaskContext([link_template(name, each) for name, each in config.links.items()], labels_file)
    except LabelsUnusable as error:
        raise NotifyConfigInvalid(f"{path}: labels_file: {error}") from error
    except LinkUnfillable as error:
        remedy = "name one with labels_file" if labels_file is None else "correct links or the file"
        raise NotifyConfigInvalid(f"{path}: links: {error}; {remedy}") from error


def _receiver(name: str, table: _AlertmanagerTable | _WebhookTable, path: Path) -> Receiver:
    folder = path.parent
    common: dict[str, Any] = {
        "name": name,
        "url": table.url,
        "token": _secret(path, f"receivers.{name}.token_file", table.token_file),
        "timeout_s": table.timeout,
        "per_minute": table.per_minute,
        "burst": table.burst,
        "give_up_s": table.give_up_after,
    }
    if table.ca_file is not None:
        common["ca_file"] = str(folder / table.ca_file)
        if not (folder / table.ca_file).is_file():
            raise NotifyConfigInvalid(f"{path}: receivers.{name}.ca_file: {common['ca_file']} is no file: name one")
    if isinstance(table, _AlertmanagerTable):
        return Receiver(
            **common,
            type=ReceiverType.ALERTMANAGER,
            labels=table.labels,
            active_s=table.active_for,
            event_s=table.event_for,
            resend_s=table.resend_every,
        )
    secret = _secret(path, f"receivers.{name}.secret_file", table.secret_file)
    return Receiver(
        **common,
        type=ReceiverType.WEBHOOK,
        secret=None if secret is None else secret.encode(),
        template=table.template,
    )


def _secret(path: Path, key: str, file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return AuthToken.in_file(path.parent / file).read()
    except TokenUnusable as error:
        raise NotifyConfigInvalid(f"{path}: {key}: {error}") from error


def _sentence(error: Mapping[str, Any]) -> str:
    """One error of pydantic: the key, the value and what to write."""
    place = [str(part) for part in error["loc"]]
    if place[:1] == ["receivers"]:
        del place[2:3]  # pydantic names the type of the receiver after the receiver
    key = ".".join(place)
    match error["type"]:
        case "missing":
            return f"{key} is missing: add it"
        case "extra_forbidden":
            return f"{key} is not a key of this table: remove it, or correct its spelling"
        case "union_tag_not_found" | "union_tag_invalid":
            return f'{key}.type must be "alertmanager" or "webhook"'
        case "value_error" if not key:
            return str(error["ctx"]["error"])
        case "value_error":
            shown = "the value" if "@" in str(error["input"]) else repr(error["input"])  # a URL with a password
            return f"{key}: {shown} {error['ctx']['error']}"
        case "too_short":
            return f"{key} is empty: name at least one"
    return f"{key}: {error['input']!r} cannot be used: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _no_such(name: str, table: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"write {close[0]!r}" if close else f"add a table [{table}.{name}]"
    return f"there is no [{table}.{name}]: {hint}"
