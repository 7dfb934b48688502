"""The view: the state topic in a table, told over HTTP. It reads; it writes nothing anywhere."""
