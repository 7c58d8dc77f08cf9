"""A model of scripted words, and benchmarks of a few small real images."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.evals.items import Item

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside the tests
from scripted_model import ScriptedModel


@pytest.fixture(autouse=True)
def inspect_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what inspect_ai writes to the user's home in the test's folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    server = ScriptedModel()
    yield server
    server.stop()


@pytest.fixture
def make_items(tmp_path: Path) -> Callable[[int], list[Item]]:
    """Return a maker of yes/no questions, each about a picture of its own."""

    def make(number: int) -> list[Item]:
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        items = []
        for place in range(number):
            path = folder / f"{place}.png"
            pixels = np.full((24, 32), 5 * place % 250, np.uint8)
            pixels[place % 24, place % 32] = 255
            PIL.Image.fromarray(pixels).save(path)
            items.append(
                Item(
                    id=f"item-{place:03d}",
                    question=f"Is number {place} bright?",
                    images=(path,),
                    answers=("yes" if place % 3 else "no",),
                    kind="closed",
                    options=("yes", "no"),
                    cluster=f"patient-{place // 2}",
                    slices={"modality": "OT", "answer_type": "closed"},
                )
            )
        return items

    return make
