"""The stream folded again: state as it was, compared with what is published, written anew; and records copied."""
