"""Whether a request is taken: credentials, quota and the limits of the edge."""
