"""Pages for people: record, measurements, sharing, who looked."""
