"""The record in concrete stores; only `hilum.exchange.wiring` imports from here."""
