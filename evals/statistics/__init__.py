"""Intervals, comparisons and tables over records: what a difference of scores is worth."""
