"""How the view follows the topics: reading, decoding, and how far behind it is."""
