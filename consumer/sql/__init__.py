"""SQL over topics and lakes, with DuckDB when it is installed. It writes to neither."""
