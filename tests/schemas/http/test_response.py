"""How responses look on the wire."""

from __future__ import annotations

import asyncio
import json

from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, ProblemDetails
from taskstream.schemas.http.response import content_response, header_lines, problem_response, send_response


def test_content_comes_with_its_type_its_length_and_the_request_id():
    response = content_response("id-1", b"{}", headers=[(b"etag", b"x")])
    assert header_lines(response.headers) == (
        b"content-type: application/json\r\ncontent-length: 2\r\nx-request-id: id-1\r\netag: x\r\n"
    )


def test_a_problem_says_whether_and_when_to_retry():
    response = problem_response(ProblemDetails(UNAVAILABLE, "later", retry_after_s=2), "id-1")
    assert response.status == 503
    assert (b"retry-after", b"2") in response.headers
    assert json.loads(response.body)["retriable"] is True
    assert json.loads(response.body)["instance"] == "urn:request:id-1"


def test_a_head_request_gets_the_headers_alone():
    sent = []

    async def send(message):
        sent.append(message)

    response = content_response("id-1", b"{}")
    asyncio.run(send_response(response, send, head_only=True))
    assert sent[0]["headers"] == response.headers
    assert sent[1] == {"type": "http.response.body", "body": b""}


def test_a_401_and_no_other_names_the_schemes_of_authentication():
    unknown = problem_response(ProblemDetails(UNAUTHENTICATED, "who"), "id-1")
    forbidden = problem_response(ProblemDetails(FORBIDDEN, "not you"), "id-1")
    assert [value for name, value in unknown.headers if name == b"www-authenticate"] == [
        b'X-Auth-Token realm="taskstream", SDK-HMAC-SHA256 realm="taskstream"'
    ]
    assert b"www-authenticate" not in dict(forbidden.headers)
