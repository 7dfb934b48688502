"""The view: the state topic in a table, served over HTTP. It writes to no topic."""
