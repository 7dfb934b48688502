"""Questions to a cluster about its groups and its topics, asked as an administrator would."""
