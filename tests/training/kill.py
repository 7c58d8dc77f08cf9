"""Kill a training as a power cut does, at a random moment after its first checkpoint."""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from overread.training.guards import checkpoints


def kill_at_a_checkpoint(command: Sequence[str], out: Path) -> None:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(30000):
            if checkpoints(out) or process.poll() is not None:
                break
            time.sleep(0.01)
        else:
            raise AssertionError("nothing came")
        time.sleep(float(np.random.default_rng().uniform(0, 0.2)))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
