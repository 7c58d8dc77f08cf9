"""Reports of evaluations: one page to read, tables to copy, two runs compared."""
