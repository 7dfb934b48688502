"""How a caller of edge or view proves who it is, as the OpenAPI documents of both say it."""

from __future__ import annotations

from typing import Any, Final

SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "SDK-HMAC-SHA256 with an access key, as the vendor's SDK signs requests.",
    },
}
