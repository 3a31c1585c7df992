"""Where a journal is kept: SQLite rows and tile files."""
