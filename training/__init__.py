"""Recipes: how the bundled models are made, and how a planner is aligned."""
