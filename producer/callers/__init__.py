"""Who calls: one authenticator per kind of credential, and the chain that asks them in sequence."""
