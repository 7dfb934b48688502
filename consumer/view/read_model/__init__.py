"""What the view holds in memory, and the questions that it answers from it. No I/O."""
