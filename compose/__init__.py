"""Where the parts are put together: the command line, the local stack, what serves."""
