"""What retrieval is worth: to the agent, under attack, under corruption."""
