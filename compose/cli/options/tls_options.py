"""The options of a server that speaks HTTPS."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.server.serve import Tls

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)


def tls_options(command: _Command) -> _Command:
    """Add --tls-cert, --tls-key and --tls-client-ca; the command gets `tls`, None for plain HTTP.

    Raises:
        click.UsageError: when called with some of the files that belong together.
    """

    @wraps(command)
    def with_tls(
        *args: Any, tls_cert: Path | None, tls_key: Path | None, tls_client_ca: Path | None, **kwargs: Any
    ) -> Any:
        if (tls_cert is None) != (tls_key is None) or (tls_client_ca is not None and tls_cert is None):
            raise click.UsageError("--tls-cert and --tls-key require each other, and --tls-client-ca requires both")
        tls = Tls(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
        return command(*args, tls=tls, **kwargs)

    decorated: Any = with_tls
    for option in (
        click.option("--tls-client-ca", type=_FILE, help="Require client certificates of this authority."),
        click.option("--tls-key", type=_FILE, help="The key of the certificate, in PEM."),
        click.option(
            "--tls-cert", type=_FILE, help="A certificate with its chain, in PEM; the server then speaks HTTPS."
        ),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
