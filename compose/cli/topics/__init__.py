"""Commands about topics and schemas: create, check, tail, export, lag."""
