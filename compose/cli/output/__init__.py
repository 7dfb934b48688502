"""How commands print: tables, JSON, Parquet, progress bars, logs."""
