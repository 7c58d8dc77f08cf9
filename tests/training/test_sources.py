import json
from pathlib import Path

from PIL import Image as PILImage

from overread.evals.benchmarks.loading import load
from overread.imaging.phantoms import split_of
from overread.training.examples import check_images
from overread.training.run_folder import curve_lines
from overread.training.sources import Source, load_source


def test_a_benchmark_keeps_fingerprints_patients_and_references() -> None:
    source = Source(source="benchmark", benchmark="phantoms", limit=5)
    items = {item.id: item for item in load("phantoms", split="train", limit=5).items}
    examples = load_source(source)
    assert {one.id for one in examples} == items.keys()
    for one in examples:
        item = items[one.id]
        check_images(one)
        assert one.fingerprint == item.fingerprint()
        assert one.patient == f"phantoms:{item.cluster}"
        assert one.reference["answers"] == list(item.answers)
        assert one.messages[-1]["content"] == item.answers[0]
        assert one.messages[1]["content"][-1]["text"] == f"Question: {item.question}"


def test_only_corrections_of_users_who_agreed_are_learnt(tmp_path: Path) -> None:
    PILImage.new("L", (8, 8)).save(tmp_path / "a.png")
    patient = next(f"p-{n}" for n in range(99) if split_of(f"p-{n}") == "train")
    line = {
        "patient": patient, "images": ["a.png"], "question": "Is there a nodule?",
        "answer": "No.", "correction": "There is one.",
    }  # fmt: skip
    told = [{**line, "id": "1", "consent": True}, {**line, "id": "2"}]
    path = tmp_path / "feedback.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in told))
    (one,) = load_source(Source(source="feedback", path=path))
    assert one.messages[-1]["content"] == "There is one."
    assert one.task == "correction"
    check_images(one)


def test_a_curve_is_drawn_from_its_highest_to_its_lowest_loss() -> None:
    history = [{"step": n, "loss": 8.0 - n} for n in range(1, 9)] + [{"step": 8, "eval_loss": 0.5}]
    assert curve_lines(history) == [
        "`█▇▆▅▄▃▂▁` step 1 to 8: 7.0000 to 0.0000",
        "",
        "Validation patients, step 8: loss 0.5000.",
    ]
