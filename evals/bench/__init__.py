"""How fast we are, always as a ratio to a reference measured in the same run."""
