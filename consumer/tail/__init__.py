"""Records of any topic one by one: read, decoded, filtered, and printed as lines."""
