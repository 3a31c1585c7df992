"""Where a ledger is kept: SQLite rows."""
