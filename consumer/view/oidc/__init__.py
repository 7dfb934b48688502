"""Sign-in of people with an OpenID Connect provider: the flow, the sessions that it opens, and the roles they get."""
