"""What the tests of runs share: a run on a scripted model, in this process or in one to be killed."""

from pathlib import Path
from typing import Any

from overread.evals.items import Item
from overread.evals.records import Record
from overread.evals.reply_cache import ReplyCache
from overread.evals.runs import Run, RunSpec, evaluate
from overread.evals.subjects.endpoint import Endpoint, EndpointSubject


def run_on(
    url: str, items: list[Item], folder: Path, cache: Path | None = None, **options: Any
) -> Run:
    """Evaluate the scripted model at `url`."""
    epochs = options.pop("epochs", 1)
    left_out = options.get("left_out") or {}
    subject = EndpointSubject("scripted", Endpoint(url, "scripted", timeout_s=20.0), {})
    spec = RunSpec(
        benchmark="bright",
        subject=subject.name,
        identity=dict(subject.identity),
        items=len(items) + len(left_out),
        epochs=epochs,
    )
    prompts = {item.id: f"{item.question} Answer yes or no." for item in items}
    kept = ReplyCache(cache) if cache else None
    options = {"concurrency": 4, "patience_s": 20.0} | options
    return evaluate(spec, items, prompts, subject, folder, cache=kept, **options)


def resume_on(url: str, items: list[Item], folder: Path, epochs: int) -> None:
    """Begin a run or go on with it; the target of a process that is killed."""
    run_on(url, items, folder, epochs=epochs, resume=True)


def timeless(records: list[Record]) -> list[Record]:
    """Return records without what differs between two equal runs."""
    return [record.model_copy(update={"seconds": 0.0}) for record in records]
