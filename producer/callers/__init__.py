"""Who calls: one authenticator a kind of credential, and the row that asks them in turn."""
