"""What an operator's own systems know of a task: labels from a file, and links that are made of them."""
