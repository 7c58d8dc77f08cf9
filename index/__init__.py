"""Embedders, the Chroma store, ingestion and search."""
