"""`taskstream rejected`: inspect and redrive records that could not be read."""
