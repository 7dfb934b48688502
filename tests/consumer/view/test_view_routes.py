"""Which route a path has; a route is a pattern, because it becomes a label of the metrics."""

from __future__ import annotations

import pytest

from taskstream.consumer.view.http.application import _route
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import HttpRequest


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/", "/"),
        (b"/tasks", "/tasks"),
        (b"/calibration", "/calibration"),
        (b"/report", "/report"),
        (b"/slowdowns", "/slowdowns"),
        (b"/t%61sks", "/tasks"),
        (b"/tasks/a%2Fb", "/tasks/{task_id}"),
        (b"/page/app.js", "/page"),
        (b"/v3/tasks", "/v3/tasks"),
        (b"/v3/tasks/a", "/v3/tasks/{task_id}"),
    ],
)
def test_a_route_is_the_same_however_its_path_is_encoded(path, route):
    assert _route(HttpRequest("GET", path, b"", []))[0] == route


@pytest.mark.parametrize("path", [b"/nothing", b"/tasks/a/b", b"/v3", b"/page"])
def test_a_path_without_a_route_is_404(path):
    with pytest.raises(ApiError) as refused:
        _route(HttpRequest("GET", path, b"", []))
    assert refused.value.problem.kind.status == 404
