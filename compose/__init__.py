"""The composition root: the command line, the HTTP servers, the local stack, and the checks of a deployment."""
