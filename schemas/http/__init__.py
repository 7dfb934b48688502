"""The HTTP vocabulary of the edge and the view: requests, responses, errors, callers."""
