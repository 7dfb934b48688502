"""`taskstream tasks`: the view's tasks on a terminal."""
