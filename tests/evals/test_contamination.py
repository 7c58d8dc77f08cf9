"""Items of a training manifest are not evaluated unawares."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.agent import bundled
from overread.agent.config import Config
from overread.evals.contamination import MANIFEST, check, manifests_beside, read_manifest
from overread.evals.items import Item
from overread.evals.subjects.factory import weight_folders
from overread.imaging.errors import InputError
from overread.index import embedder
from overread.tools.bundled_segmenter import WEIGHTS

MakeItems = Callable[[int], list[Item]]
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.lists(HEX, unique=True), st.booleans())
def test_manifests_are_read_in_both_forms(
    tmp_path_factory: pytest.TempPathFactory, fingerprints: list[str], as_json: bool
) -> None:
    lines = [
        json.dumps({"fingerprint": f, "id": 1}) if as_json else f.upper() for f in fingerprints
    ]
    path = tmp_path_factory.mktemp("manifest") / MANIFEST
    path.write_text("\n".join(["# what it was trained on", "", *lines, ""]))
    assert read_manifest(path) == set(fingerprints)


@pytest.mark.parametrize(
    "line",
    ["abc", "z" * 64, "a" * 63, "a" * 65, '{"id": 3}', "{broken", "[]", '{"fingerprint": 5}'],
)
def test_a_line_that_is_no_fingerprint_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / MANIFEST
    path.write_text("a" * 64 + "\n" + line + "\n")
    with pytest.raises(InputError, match="line 2, is no fingerprint"):
        read_manifest(path)


def test_a_manifest_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "none.txt")


def test_contaminated_items_are_counted_and_refused(make_items: MakeItems, tmp_path: Path) -> None:
    items = make_items(5)
    path = tmp_path / MANIFEST
    path.write_text(f"{items[1].fingerprint()}\n{items[3].fingerprint()}\n")
    with pytest.raises(InputError, match="2 of 5 items are in the training manifest of bare"):
        check(items, [path], "bare", allowed=False)
    assert check(items, [path], "bare", allowed=True) == [items[1], items[3]]
    assert check([items[0]], [path], "bare", allowed=False) == []
    assert check(items, [], "bare", allowed=False) == []


def test_a_renamed_file_and_another_id_do_not_hide_an_item(
    make_items: MakeItems, tmp_path: Path
) -> None:
    from dataclasses import replace

    item = make_items(1)[0]
    path = tmp_path / MANIFEST
    path.write_text(item.fingerprint())
    copy = tmp_path / "copy.png"
    copy.write_bytes(item.images[0].read_bytes())
    hidden = replace(
        item, id="new", images=(copy,), question=item.question.upper().replace(" ", "  ")
    )
    with pytest.raises(InputError, match="1 of 1 items"):
        check([hidden], [path], "bare", allowed=False)


def test_manifests_lie_beside_the_weights_that_answer(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / MANIFEST).touch()
    config = Config(data_dir=data_dir)
    assert manifests_beside(weight_folders(f"local:{tmp_path}", config)) == [tmp_path / MANIFEST]
    assert manifests_beside(weight_folders(f"text-only:local:{tmp_path}", config)) != []
    for text in ("agent", "agent/no-tools", "bare", "text-only", "serve:bundled"):
        assert bundled.WEIGHTS in weight_folders(text, config)
    assert {embedder.BUNDLED, WEIGHTS.parent} <= set(weight_folders("agent", config))
    assert weight_folders("knn", config) == [embedder.BUNDLED]
    for text in ("majority", "endpoint:http://a/v1#m", "agent-endpoint:http://a/v1"):
        assert weight_folders(text, config) == []
