"""The page of a browser that could not be signed in. All of its text is escaped."""

from __future__ import annotations

from html import escape
from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Not signed in · taskstream</title>
  <link rel="icon" href="../page/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="../page/view.css">
</head>
<body>
  <main>
    <section class="panel">
      <h1>Not signed in</h1>
      <p role="alert">{problem}</p>
      <p><a href="../{query}">Back to the tasks</a></p>
    </section>
  </main>
</body>
</html>
"""


def refusal_page(problem: str, return_query: str) -> bytes:
    """The page, for an address one folder below the view's. return_query: see `return_query`."""
    return _PAGE.format(problem=escape(problem), query=escape(return_query)).encode()
