"""A lake: topics as Parquet files by day and project, each record once. It writes to no topic."""
