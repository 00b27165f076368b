"""Recordings of our own: public frames as received, in Parquet files."""
