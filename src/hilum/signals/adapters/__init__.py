"""Where series live. Only the exchange's wiring constructs what is in here."""
