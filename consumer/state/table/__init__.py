"""What the series table is made of: keys found in memory that misses the cache, and rows folded while it holds them."""
