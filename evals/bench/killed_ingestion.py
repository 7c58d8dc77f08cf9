"""Fill an index undisturbed, and another one killed at random moments; compare what they hold.

    python -m overread.evals.bench.killed_ingestion --studies 20000 --kills 3 --seed 0 --out runs/kill

Phantoms are drawn once, to `OUT/phantoms`; a drawing takes some 65 ms of one core, and all cores
draw. Both runs are `overread index build` in processes of their own with data folders of their own
that share one pseudonym secret. The killed run gets SIGKILL (its worker processes end with it) when
it has done a random share of the work, is started again each time, and at last left to finish. The
digests (`overread index digest`) of both must be equal: the exit code is 1 if they are not.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from overread.imaging.errors import OverreadError
from overread.imaging.phantoms.many import write_many
from overread.imaging.pseudonym import Pseudonymiser

_POLL_S = 0.1
_SECRET = "pseudonym.secret"


def command(data: Path, *words: str) -> list[str]:
    """Return a call of the command line on a data folder."""
    start = "from overread.ui.cli import main; main()"
    return [sys.executable, "-c", start, "--data-dir", str(data), *words]


def start_build(data: Path, manifest: Path, workers: int | None) -> subprocess.Popen[bytes]:
    """Start `overread index build` in a process of its own."""
    words = ["index", "build", str(manifest), "--json"]
    words += ["--workers", str(workers)] if workers else []
    with (data / "build.log").open("ab") as log:
        return subprocess.Popen(command(data, *words), stdout=log, stderr=log)


def digest(data: Path) -> dict[str, Any]:
    """Return what `overread index digest` prints.

    Raises:
        OverreadError: It failed.
    """
    done = subprocess.run(
        command(data, "index", "digest", "--json"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OverreadError(f"the digest of {data} failed: {done.stderr.strip()[-400:]}")
    return dict(json.loads(done.stdout))


def archived(data: Path) -> int:
    """Return how many studies the archive of a data folder holds: those indexed, and some more."""
    folder = data / "archive" / "studies"
    return len(os.listdir(folder)) if folder.is_dir() else 0


def finish(data: Path, manifest: Path, workers: int | None) -> float:
    """Build undisturbed; return seconds.

    Raises:
        OverreadError: The build failed.
    """
    began = time.perf_counter()
    process = start_build(data, manifest, workers)
    if process.wait():
        log = (data / "build.log").read_text(errors="replace")[-600:]
        raise OverreadError(f"the build in {data} failed: {log}")
    return time.perf_counter() - began


def kill_when(process: subprocess.Popen[bytes], data: Path, share: int, delay_s: float) -> bool:
    """Kill a build some time after so many studies are archived; False if it ended before."""
    while archived(data) < share:
        if process.poll() is not None:
            return False
        time.sleep(_POLL_S)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def new_data(folder: Path, secret: Path) -> Path:
    """Make an empty data folder that has the shared secret."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    shutil.copy(secret, folder / _SECRET)
    os.chmod(folder / _SECRET, 0o600)
    return folder


def compare(
    manifest: Path, out: Path, kills: int, seed: int, workers: int | None, console: Console
) -> bool:
    """Build twice, kill one, print both digests; return whether they are equal."""
    secret = out / _SECRET
    Pseudonymiser(secret)
    rng = random.Random(seed)
    total = sum(1 for line in manifest.read_text(encoding="utf-8").splitlines() if line)

    whole = new_data(out / "whole", secret)
    taken = finish(whole, manifest, workers)
    rate = total / taken
    expected = digest(whole)
    console.print(f"undisturbed: {expected}, {taken:.0f} s, {rate:.1f} studies/s")

    killed = new_data(out / "killed", secret)
    for number, share in enumerate(sorted(rng.sample(range(total), kills)), start=1):
        # Batches are written now and then; the wait ends anywhere between two writes, or in one.
        delay = rng.uniform(0, min(256, total) / rate)
        process = start_build(killed, manifest, workers)
        was_killed = kill_when(process, killed, share, delay)
        there = archived(killed)
        how = "killed" if was_killed else "had ended"
        console.print(
            f"run {number}: {how} after {share} studies and {delay:.2f} s; {there} archived"
        )
    taken = finish(killed, manifest, workers)
    found = digest(killed)
    console.print(f"killed {kills} times, then finished: {found}, last run {taken:.0f} s")
    last = (killed / "build.log").read_text(errors="replace").strip().splitlines()[-1]
    console.print(f"last run said: {last}")
    equal = found == expected
    console.print("equal" if equal else "DIFFERENT")
    return equal


def main() -> int:
    """Parse the command line, draw, build, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    console = Console(soft_wrap=True)
    phantoms = args.out / "phantoms"
    began = time.perf_counter()
    for done in write_many("train", args.studies, args.seed, phantoms):
        if done % 1024 == 0:
            console.print(f"{done} phantoms drawn")
    taken = time.perf_counter() - began
    console.print(f"{args.studies} phantoms in {taken:.0f} s ({taken / args.studies:.3f} s each)")
    manifest = phantoms / "manifest.jsonl"
    return 0 if compare(manifest, args.out, args.kills, args.seed, args.workers, console) else 1


if __name__ == "__main__":
    raise SystemExit(main())
