"""`taskstream replay`: the stream folded again, compared, rebuilt, copied."""
