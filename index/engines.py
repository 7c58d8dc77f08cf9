"""Where batches of units are worked on: here, in other processes, or on a Ray cluster.

Every engine yields the results in the order of the batches, so that an index filled by any of them
ends in the same state.
"""

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from overread.imaging.errors import ConfigError, OverreadError
from overread.index.units import Unit
from overread.index.work import Finished, Worker

Batch = Sequence[Unit]

_AHEAD = 2
"""Batches in hand for each process: one at work, one waiting."""

_worker: Worker | None = None


def here(worker: Worker, batches: Iterable[Batch]) -> Iterator[list[Finished]]:
    """Work on one batch after the other in this process."""
    for batch in batches:
        yield worker(batch)


def in_processes(worker: Worker, batches: Iterable[Batch], count: int) -> Iterator[list[Finished]]:
    """Work on batches in processes of one thread each.

    Args:
        worker: Sent to each process once.
        batches: Taken as they are needed.
        count: Of processes; one more than there are cores keeps them busy while files are read.

    Raises:
        OverreadError: A process ended.
    """
    import torch

    # A forked child would inherit locks of torch's threads; the server it forks from computes
    # nothing, so it has none. It imports what all of them need once: seconds for each otherwise.
    # Not where there is a GPU: whatever looks for one while it is imported spoils CUDA for a fork.
    imported_once = [] if torch.cuda.is_available() else worker.modules
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *imported_once])
    waiting = iter(batches)
    with ProcessPoolExecutor(count, context, _begin, (pickle.dumps(worker),)) as pool:
        try:
            at_work: deque[Future[list[Finished]]] = deque(
                pool.submit(_work, batch) for batch in islice(waiting, _AHEAD * count)
            )
            while at_work:
                finished = at_work.popleft().result()
                at_work.extend(pool.submit(_work, batch) for batch in islice(waiting, 1))
                yield finished
        except BrokenProcessPool as error:
            raise OverreadError(
                "A process that reads images ended by itself, perhaps for want of memory; run the "
                "same command again with fewer workers, it goes on from here."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(worker: bytes) -> None:
    """Get ready for work; the models are loaded when the watch has begun, for that takes long."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells us when to end
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    _worker = pickle.loads(worker)  # ours, from our own parent


def _end_with_parent() -> None:
    """A killed parent leaves us waiting for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(batch: Batch) -> list[Finished]:
    assert _worker is not None
    return _worker(batch)


def on_ray(worker: Worker, batches: Iterable[Batch], count: int | None) -> Iterator[list[Finished]]:
    """Work on batches with Ray Data, on a cluster (RAY_ADDRESS) or on this machine.

    The archive and the pseudonyms' secret must lie at the same path on every machine, on a file
    system that they share; the index is written by the caller alone.

    Args:
        worker: Sent to each of Ray's workers once.
        batches: All of them are listed before the first begins.
        count: Of Ray's workers, each on a core; as many as there are cores if None.

    Raises:
        ConfigError: Ray is not installed.
    """
    ray = start_ray()
    try:
        settings = ray.data.DataContext.get_current()
        settings.execution_options.preserve_order = True
        settings.enable_progress_bars = False
        rows = [{"batch": pickle.dumps(list(batch))} for batch in batches]
        if not rows:
            return
        workers = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _OnRay, fn_constructor_args=(worker,), concurrency=workers, num_cpus=1
        )
        for row in done.iter_rows():
            yield pickle.loads(row["finished"])  # ours, from our own workers
    finally:
        ray.shutdown()


class _OnRay:
    """A worker in one of Ray's processes."""

    def __init__(self, worker: Worker) -> None:
        import torch

        torch.set_num_threads(1)
        self._worker = worker

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"finished": pickle.dumps(self._worker(pickle.loads(row["batch"])))}


def start_ray() -> Any:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine.

    Raises:
        ConfigError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(
            "--engine ray needs Ray; install it with 'pip install overread[ray]'"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    return ray
