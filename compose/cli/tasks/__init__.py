"""`taskstream tasks`: what the view knows, on a terminal."""
