"""Records of any topic one by one, as people and programs look at them: read, taken apart, picked, told."""
