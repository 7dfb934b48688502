"""The other side of the wire: a blocking client of the edge's API."""
