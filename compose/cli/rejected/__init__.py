"""`taskstream rejected`: records that could not be read."""
