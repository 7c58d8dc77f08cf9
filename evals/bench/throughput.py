"""Requests per second of an evaluation, against what the same server does at its best.

    python -m overread.evals.bench.throughput --items 500 --rounds 3

Each round asks one vLLM server of the bundled planner the same phantom questions twice over: by a
bare load generator that posts ready-made bodies with the same number of requests open, and by our
whole evaluation (read, render, ask, mark, record). The ratio of a round is ours over the
generator's; the order alternates. At the end, once, a plain synchronous loop for scale.

By default the server has all cores but one to itself and who asks has the last one, as if they were
two machines. With `--server-cores` equal to the number of cores both work on all of them, and the
ratio tells what our own work takes from the server there.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx2
from rich.console import Console

from overread.agent.config import Config, load_config
from overread.agent.profiles import load_profile
from overread.agent.prompts import direct_messages
from overread.agent.serving import ensure_server, stop
from overread.evals.batch import Loaded, Request, load_benchmark
from overread.evals.run_spec import RunSpec
from overread.evals.runs import evaluate
from overread.evals.subjects.factory import Items, make_subject
from overread.evals.subjects.pictures import picture_urls
from overread.imaging.errors import OverreadError

_TIMEOUT_S, _PORT = 300.0, 8078
_JSON = {"Content-Type": "application/json"}


def bodies(loaded: Loaded, config: Config) -> list[bytes]:
    """Return the requests that our evaluation of the bare planner sends, ready to be posted."""
    profile = load_profile(config.planner.profile)
    ready = []
    for item in loaded.items:
        urls = picture_urls(item, profile.image_size)
        body = {
            "model": profile.request_model,
            "messages": direct_messages(urls, loaded.prompts[item.id]),
            "temperature": 0.0,
            "max_tokens": profile.max_output_tokens,
            "seed": 0,
            "logprobs": True,
        }
        ready.append(json.dumps(body).encode())
    return ready


async def saturated(url: str, ready: Sequence[bytes], concurrency: int) -> float:
    """Post all bodies with so many open at a time; return requests per second."""
    waiting = iter(ready)
    limits = httpx2.Limits(max_connections=concurrency)
    async with httpx2.AsyncClient(timeout=_TIMEOUT_S, limits=limits, headers=_JSON) as client:

        async def work() -> None:
            for body in waiting:
                reply = await client.post(f"{url}/chat/completions", content=body)
                reply.raise_for_status()

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return len(ready) / (time.perf_counter() - began)


def in_a_loop(url: str, ready: Sequence[bytes]) -> float:
    """Post one body after the other; return requests per second."""
    began = time.perf_counter()
    with httpx2.Client(timeout=_TIMEOUT_S, headers=_JSON) as client:
        for body in ready:
            client.post(f"{url}/chat/completions", content=body).raise_for_status()
    return len(ready) / (time.perf_counter() - began)


def ours(loaded: Loaded, config: Config, concurrency: int) -> float:
    """Evaluate the bare planner on all items, without kept replies; return items per second."""
    subject = make_subject(
        "bare", config, Items(loaded.items, loaded.train), concurrency=concurrency
    )
    spec = RunSpec(
        benchmark="phantoms",
        subject="bare",
        identity=dict(subject.identity),
        items=len(loaded.items),
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = evaluate(
            spec, loaded.items, loaded.prompts, subject, Path(folder) / "run",
            concurrency=concurrency, metrics=loaded.metrics,
        )  # fmt: skip
        taken = time.perf_counter() - began
    failed = [record.reason for record in run.records if record.status == "failed"]
    if failed:
        raise OverreadError(f"{len(failed)} items failed, the first one because: {failed[0]}")
    return len(run.records) / taken


def main() -> int:
    """Parse the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=32)
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument("--server-cores", type=int, default=max(1, len(cores) - 1))
    args = parser.parse_args()
    request = Request(
        benchmark="phantoms", limit=args.items, subjects=("bare",), out=Path("runs/throughput")
    )
    config = load_config()
    loaded = load_benchmark(request, config)
    # A server of its own: the user's may run with other threads, and other clients.
    own = config.planner.model_copy(update={"port": _PORT, "base_url": None})
    config = config.model_copy(update={"planner": own})
    os.environ["OMP_NUM_THREADS"] = str(args.server_cores)
    os.sched_setaffinity(0, cores[: args.server_cores])  # a process passes it on to its children
    try:
        ensure_server(config)
        os.sched_setaffinity(0, cores[args.server_cores :] or cores)
        compare(loaded, config, args.rounds, args.concurrency)
    finally:
        stop(config)
    return 0


def compare(loaded: Loaded, config: Config, rounds: int, concurrency: int) -> None:
    """Measure and print."""
    console, url, ready = Console(), config.planner.url, bodies(loaded, config)
    # From here the server's caches, our imports and the disk's are warm.
    asyncio.run(saturated(url, ready, concurrency))
    ours(replace(loaded, items=loaded.items[:concurrency]), config, concurrency)
    ratios = []
    for number in range(1, rounds + 1):
        figures: dict[str, float] = {}
        for name in ("generator", "ours") if number % 2 else ("ours", "generator"):
            figures[name] = (
                ours(loaded, config, concurrency)
                if name == "ours"
                else asyncio.run(saturated(url, ready, concurrency))
            )
        ratios.append(figures["ours"] / figures["generator"])
        console.print(
            f"round {number}: ours {figures['ours']:.2f}/s, "
            f"generator {figures['generator']:.2f}/s, ratio {ratios[-1]:.3f}"
        )
    loop = in_a_loop(url, ready)
    console.print(f"median ratio {statistics.median(ratios):.3f} over {rounds} rounds")
    console.print(f"a plain loop, one request at a time: {loop:.2f}/s")


if __name__ == "__main__":
    raise SystemExit(main())
