"""Small experiments that the documentation quotes; each runs in seconds on a CPU."""
