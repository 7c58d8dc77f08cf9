"""Runs end with the same records whatever happens on the way."""

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_model import ScriptedModel
from scripted_runs import resume_on, run_on, timeless

from overread.evals.items import Item
from overread.evals.journal import FILE, Journal, read_records
from overread.evals.records import Record
from overread.evals.runs import LOGS, find_runs, read_run
from overread.imaging.errors import InputError, PlannerUnavailable

MakeItems = Callable[[int], list[Item]]


def a_record(item: str, epoch: int = 1) -> Record:
    return Record(
        benchmark="b", subject="s", item=item, epoch=epoch, status="scored",
        question="q", scores={"accuracy": 1.0}, main="accuracy",
    )  # fmt: skip


def test_every_item_is_asked_once_and_recorded(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    items = make_items(7)
    seen: list[str] = []
    run = run_on(model.url, items, tmp_path / "run", on_record=lambda r: seen.append(r.item))
    assert run.is_complete
    assert [record.item for record in run.records] == sorted(seen) == [item.id for item in items]
    assert sorted(model.questions) == sorted(
        f"Question: {item.question} Answer yes or no." for item in items
    )
    for item, record in zip(items, run.records, strict=True):
        said = model.say(f"Question: {item.question} Answer yes or no.")
        assert record.answer == said
        assert record.status == "scored"
        assert record.value == float(said.lower().startswith(item.answers[0]))
        assert record.confidence == pytest.approx(0.905, abs=0.001)
        assert record.fingerprint == item.fingerprint()
        assert (record.cluster, record.slices) == (item.cluster, dict(item.slices))


def test_the_request_is_at_temperature_0_with_the_seed_of_its_epoch_and_the_picture(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    run_on(model.url, make_items(2), tmp_path / "run", epochs=3)
    assert Counter(request["seed"] for request in model.asked) == {0: 2, 1: 2, 2: 2}
    for request in model.asked:
        assert request["temperature"] == 0.0
        system, user = request["messages"]
        assert system["role"] == "system"
        assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_inspects_log_shows_the_whole_run_without_pictures(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    from inspect_ai.log import read_eval_log

    run = run_on(model.url, make_items(5), tmp_path / "run")
    (path,) = (tmp_path / "run" / LOGS).glob("*.eval")
    log = read_eval_log(str(path))
    assert log.status == "success" and log.results is not None and log.samples is not None
    assert len(log.samples) == 5
    mean = sum(record.value for record in run.records) / 5
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(mean)
    assert "data:image" not in log.model_dump_json()


def test_a_finished_run_is_neither_overwritten_nor_asked_again(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    items = make_items(4)
    first = run_on(model.url, items, tmp_path / "run")
    with pytest.raises(InputError, match="--resume"):
        run_on(model.url, items, tmp_path / "run")
    again = run_on(model.url, items, tmp_path / "run", resume=True)
    assert again.records == first.records
    assert len(model.asked) == 4


def test_another_run_is_not_resumed(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    run_on(model.url, make_items(3), tmp_path / "run")
    with pytest.raises(InputError, match="its items is 3, not 2"):
        run_on(model.url, make_items(2), tmp_path / "run", resume=True)


def test_replies_are_kept_under_all_that_decides_them(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    items, cache = make_items(3), tmp_path / "cache"
    first = run_on(model.url, items, tmp_path / "one", cache)
    again = run_on(model.url, items, tmp_path / "two", cache)
    assert timeless(again.records) == timeless(first.records)
    assert len(model.asked) == 3
    items[0].images[0].write_bytes(items[1].images[0].read_bytes())
    run_on(model.url, items, tmp_path / "three", cache)
    assert len(model.asked) == 4
    run_on(model.url, items, tmp_path / "four", cache, epochs=2)
    assert len(model.asked) == 7
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".json"]


def test_a_bad_item_is_recorded_as_failed_with_its_reason(
    make_items: MakeItems, tmp_path: Path
) -> None:
    items = make_items(5)
    items[1].images[0].write_bytes(b"not a picture")
    items[2].images[0].unlink()
    model = ScriptedModel(say=lambda question: 400 if "number 3 " in question else "yes")
    left_out = {"row-9": "the row has no answer"}
    run = run_on(model.url, items, tmp_path / "run", left_out=left_out)
    model.stop()
    assert run.is_complete
    reasons = {record.item: record.reason for record in run.records if record.status == "failed"}
    assert set(reasons) == {"item-001", "item-002", "item-003", "row-9"}
    assert "1.png" in reasons["item-001"]
    assert "2.png" in reasons["item-002"] and "No such file" in reasons["item-002"]
    assert reasons["item-003"].startswith("scripted refused the question (HTTP 400)")
    assert reasons["row-9"] == "the row has no answer"
    for record in run.records:
        assert "Traceback" not in record.reason
        if record.item in reasons:
            assert (record.scores, record.value) == ({}, 0.0)


def test_a_server_that_goes_away_costs_time_alone(make_items: MakeItems, tmp_path: Path) -> None:
    model = ScriptedModel(pause_s=0.02)
    items = make_items(12)
    undisturbed = run_on(model.url, items, tmp_path / "calm")

    def outage() -> None:
        model.stop()
        time.sleep(3)
        model.start()

    done: list[Record] = []
    absence = threading.Thread(target=outage)

    def recorded(record: Record) -> None:
        done.append(record)
        if len(done) == 4:
            absence.start()

    run = run_on(model.url, items, tmp_path / "disturbed", on_record=recorded)
    absence.join()
    model.stop()
    assert timeless(run.records) == timeless(undisturbed.records)
    assert all(record.status == "scored" for record in run.records)


def test_an_overloaded_server_is_asked_again(make_items: MakeItems, tmp_path: Path) -> None:
    refusals = iter([503, 429, 500])
    model = ScriptedModel(say=lambda question: next(refusals, "yes"))
    run = run_on(model.url, make_items(2), tmp_path / "run")
    model.stop()
    assert {record.answer for record in run.records} == {"yes"}
    assert len(model.asked) == 5


def test_a_server_that_stays_away_stops_the_run_and_loses_no_item(
    make_items: MakeItems, tmp_path: Path
) -> None:
    model = ScriptedModel()
    items = make_items(6)

    def recorded(record: Record) -> None:
        if record.item == "item-001":
            model.stop()

    with pytest.raises(PlannerUnavailable, match="--resume"):
        run_on(
            model.url, items, tmp_path / "run", concurrency=1, patience_s=1.0, on_record=recorded
        )
    kept = read_run(tmp_path / "run")
    assert 2 <= len(kept.records) < 6 and not kept.is_complete
    assert all(record.status == "scored" for record in kept.records)
    model.start()
    run = run_on(model.url, items, tmp_path / "run", resume=True)
    model.stop()
    assert run.is_complete
    assert all(record.status == "scored" for record in run.records)


def kill_until_done(model: ScriptedModel, items: list[Item], folder: Path, kills: int) -> None:
    """Run in processes that are killed at random moments, then in one that may finish.

    The processes are forked from one that has the libraries loaded, so that their life is spent
    asking and not importing. Each is killed a random while after a random number of requests.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["inspect_ai", "overread.evals.tasks", "scripted_runs"])
    dice = random.Random(0)
    share = len(items) // kills
    for _ in range(kills):
        process = context.Process(target=resume_on, args=(model.url, items, folder, 2))
        process.start()
        enough = len(model.asked) + dice.randint(1, share)
        while len(model.asked) < enough and process.is_alive():
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 0.05))
        assert process.is_alive() and process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    process = context.Process(target=resume_on, args=(model.url, items, folder, 2))
    process.start()
    process.join()
    assert process.exitcode == 0


def check_killed_runs(make_items: MakeItems, tmp_path: Path, number: int, kills: int) -> None:
    model = ScriptedModel(pause_s=0.05)
    items = make_items(number)
    calm = run_on(model.url, items, tmp_path / "calm", epochs=2)
    asked = len(model.asked)
    kill_until_done(model, items, tmp_path / "killed", kills)
    model.stop()
    again = read_run(tmp_path / "killed")
    assert again.is_complete
    assert timeless(again.records) == timeless(calm.records)
    lines = (tmp_path / "killed" / FILE).read_text().splitlines()
    keys = [(row["item"], row["epoch"]) for row in map(json.loads, lines)]
    assert len(keys) == len(set(keys)) == 2 * number
    # Only what was being asked when a process was killed (4 at a time) is asked again.
    assert len(model.asked) - asked <= 2 * number + 2 * 4 * kills


def test_a_killed_run_goes_on_to_the_same_records(make_items: MakeItems, tmp_path: Path) -> None:
    check_killed_runs(make_items, tmp_path, number=20, kills=3)


@pytest.mark.slow
def test_twenty_kills_change_nothing(make_items: MakeItems, tmp_path: Path) -> None:
    check_killed_runs(make_items, tmp_path, number=150, kills=20)


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / FILE
    journal = Journal(path)
    journal.append(a_record("a"))
    journal.append(a_record("b"))
    journal.close()
    path.write_bytes(path.read_bytes()[:-7])
    assert [record.item for record in read_records(path)] == ["a"]
    journal = Journal(path)
    assert list(journal.records) == [("a", 1)]
    journal.append(a_record("b"))
    journal.close()
    assert [record.item for record in read_records(path)] == ["a", "b"]


def test_an_item_is_recorded_once(tmp_path: Path) -> None:
    path = tmp_path / FILE
    journal = Journal(path)
    journal.append(a_record("a"))
    journal.append(a_record("a", epoch=2))
    with pytest.raises(ValueError, match="already recorded"):
        journal.append(a_record("a"))
    journal.close()
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(InputError, match="line 3: item a, epoch 1, is there twice"):
        read_records(path)


def test_damaged_records_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(a_record("a").model_dump_json() + "\n{}\n")
    with pytest.raises(InputError, match="line 2, is not a record"):
        Journal(path)


def test_a_folder_is_held_by_one_process(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    from overread.evals.journal import only_writer

    (tmp_path / "run").mkdir()
    with only_writer(tmp_path / "run"), pytest.raises(InputError, match="another process"):
        run_on(model.url, make_items(1), tmp_path / "run")
    assert run_on(model.url, make_items(1), tmp_path / "run").is_complete


def test_runs_are_found_in_a_folder_or_below_it(
    model: ScriptedModel, make_items: MakeItems, tmp_path: Path
) -> None:
    run_on(model.url, make_items(1), tmp_path / "runs" / "b")
    run_on(model.url, make_items(1), tmp_path / "runs" / "a")
    assert [path.name for path in find_runs(tmp_path / "runs")] == ["a", "b"]
    assert find_runs(tmp_path / "runs" / "a") == [tmp_path / "runs" / "a"]
    with pytest.raises(InputError, match="holds no run"):
        find_runs(tmp_path / "pictures")
