"""The two consoles (results on stdout, progress and errors on stderr) and the line always shown."""

from rich.console import Console

RESEARCH_USE = "Research use only. Not a medical device."

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)
