"""The view's HTTP API: routes, JSON, server-sent events, the page's files."""
