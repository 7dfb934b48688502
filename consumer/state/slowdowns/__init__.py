"""Tasks whose rates fell in the same minutes: the fall of one rate, and groups with more falls than chance gives."""
