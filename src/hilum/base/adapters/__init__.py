"""How a database is reached. Only the exchange's wiring picks what is in here."""
