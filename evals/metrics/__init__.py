"""Scores of single answers and of whole runs, each against its definition in the literature."""
