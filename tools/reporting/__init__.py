"""Structured reports: composed from evidence, edited and signed by a reader, exported."""
