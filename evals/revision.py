"""Which revision of the source a figure or a training run is from."""

import subprocess
from pathlib import Path


def revision() -> str | None:
    """Return the revision of the checkout, with "+" if it was changed; None outside one."""
    source = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(source), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
