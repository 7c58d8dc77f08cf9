"""Making up pictures: off by default, marked, repeatable, by phantoms and by a real pipeline."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from overread.agent.config import Config
from overread.agent.resources import Resources
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.synthetic import KEY, marked
from overread.imaging.vocabulary import DOMAINS
from overread.tools.base import ToolContext
from overread.tools.generator import PhantomGenerator, load_generator
from overread.tools.phantom_words import Wanted, understood
from overread.tools.synthesise import build


def call(context: ToolContext, **args: object):
    return build(context).invoke(
        {"type": "tool_call", "id": "1", "name": "synthesise", "args": args}
    )


def context(data: Path, **settings: object) -> ToolContext:
    config = Config(data_dir=data, synthesis=settings)  # type: ignore[arg-type]
    return Resources(config).tool_context(())


def test_it_is_off_until_it_is_allowed(data_dir: Path) -> None:
    reply = call(context(data_dir), what="chest xray")
    assert reply.status == "error" and "is off" in reply.content
    assert "synthesis.enabled = true" in reply.content


def test_pictures_are_made_marked_and_stored_as_synthetic(data_dir: Path) -> None:
    allowed = context(data_dir, enabled=True)
    reply = call(allowed, what="Chest X-ray with a pleural effusion", count=2, seed=4)
    assert reply.status == "success", reply.content
    assert reply.artifact.values["synthetic"] is True and reply.artifact.image is None
    assert "of no patient" in reply.content
    first, second = reply.artifact.artifacts
    assert first.kind == "synthetic" and first.sha256 != second.sha256
    with PIL.Image.open(io.BytesIO(allowed.artifacts.read(first))) as picture:
        told = json.loads(picture.info[KEY])
        assert (told["seed"], told["engine"]) == (4, "phantoms 1")
        assert told["words"] == "Chest X-ray with a pleural effusion"
        plain = PhantomGenerator().make("Chest X-ray with a pleural effusion", 4)
        assert np.array_equal(np.asarray(picture), np.asarray(marked(plain.picture)))
    # The label is what was made, not what was asked for.
    made = "chest xray with effusion"
    assert told["shows"] == plain.shows == reply.artifact.values["what"] == made
    assert first.name == f"synthetic image of {made}, seed 4" and f"of {made}:" in reply.content
    assert call(allowed, what="Chest X-ray with a pleural effusion", count=2, seed=4) == reply


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        ("CT of the chest with a nodule", "chest ct with nodule"),
        ("lung nodules, CT scan", "chest ct with nodule"),
        ("brain MRI", "normal brain mr"),
        ("a normal MR image of the brain of an adult patient", "normal brain mr"),
        ("brain mr with midline shift and lesions", "brain mr with lesion and midline shift"),
        ("fundus photograph with haemorrhages", "fundus with haemorrhage"),
        ("retinal hemorrhage", "fundus with haemorrhage"),
        ("abdominal CT of the abdomen with a cyst", "abdomen ct with cyst"),
        ("CT with cyst", "abdomen ct with cyst"),
        ("ultrasound showing solid masses", "ultrasound with mass"),
        ("CXR: pneumothoraces", "chest xray with pneumothorax"),
        ("histology", "normal histology"),
    ],
)
def test_words_are_understood(words: str, shows: str) -> None:
    assert str(understood(words)) == shows


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("a cat", "do not know 'cat'"),
        ("knee MR with tear", "do not know 'knee'"),
        ("an x-ray of a broken leg", "do not know 'broken'"),
        ("abdominal ct with appendicitis", "do not know 'appendicitis'"),
        ("chest x-ray with a left effusion", "do not know 'left'"),
        ("chest x-ray with two nodules", "do not know 'two'"),
        ("chest x-ray with 0 nodules", "do not know '0'"),
        ("brain CT", "all of brain, ct"),
        ("brain CT with haemorrhage", "all of brain, ct, haemorrhage"),
        ("chest ct with pneumothorax", "all of chest, ct, pneumothorax"),
        ("chest x-ray with nodule and mass", "all of chest, xray, nodule, mass"),
        ("ct", "may be chest ct or abdomen ct"),
        ("the image", "names no kind of image"),
        ("normal chest xray with nodule", "is not normal"),
    ],
)
def test_words_that_are_not_understood_are_refused(words: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        understood(words)
    assert "\n" not in str(caught.value) and not str(caught.value).endswith(".")


def test_a_refusal_lists_what_is_known() -> None:
    with pytest.raises(InputError) as caught:
        understood("knee MR")
    named = {
        part for domain, (_, names) in DOMAINS.items() for part in (*domain.split("-"), *names)
    }
    assert all(part in str(caught.value) for part in named)


@pytest.mark.parametrize(
    "denial",
    [
        "{} without {}", "{} w/o {}", "{} free of {}", "{}, {}-free", "{}, {} absent", "{}, no-{}", "{}: no {}",
        "{} negative for {}", "{} lacks {}", "{} lacking {}", "{} with none, {}", "{} never {}", "{} not {}",
        "{} doesn't show {}", "{}: absence of {}", "non-{1} {0}", "{} excluding {}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "finding"), [("chest X-ray", "effusion"), ("brain MR", "lesion")])
def test_what_is_denied_is_not_shown(denial: str, kind: str, finding: str) -> None:
    with pytest.raises(InputError, match="what is not named is not there"):
        understood(denial.format(kind, finding))


wanted = st.sampled_from(sorted(DOMAINS)).flatmap(
    lambda domain: (
        st.builds(
            lambda names: Wanted(domain, tuple(sorted(names))),
            st.sets(st.sampled_from(DOMAINS[domain][1])),
        )
        if DOMAINS[domain][1]
        else st.just(Wanted(domain, ()))
    )
)


@given(wanted, st.data())
def test_a_label_asks_for_itself_and_a_strange_word_in_it_is_refused(
    one: Wanted, data: DataObject
) -> None:
    words = str(one).split()
    assert understood(str(one)) == one
    strange = data.draw(st.sampled_from(["tear", "femur", "left", "3", "tumour", "ohne", "PET"]))
    place = data.draw(st.integers(0, len(words)))
    with pytest.raises(InputError, match="do not know"):
        understood(" ".join([*words[:place], strange, *words[place:]]))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real pipeline of a few thousand random weights, saved as others publish theirs."""
    diffusers = pytest.importorskip("diffusers", reason="the extra 'synthesis' is not installed")
    import torch

    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=32, in_channels=3, out_channels=3, layers_per_block=1,
        block_out_channels=(32, 32), norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    made = diffusers.DDIMPipeline(unet=unet, scheduler=diffusers.DDIMScheduler())
    folder = tmp_path_factory.mktemp("pipeline")
    made.save_pretrained(folder, safe_serialization=True)
    return folder


def test_a_pipeline_makes_pictures_by_its_seed(pipeline: Path) -> None:
    generator = load_generator(str(pipeline))
    made = [generator.make("anything", seed) for seed in (1, 1, 2)]
    assert {each.shows for each in made} == {"what a pipeline makes that takes no words"}
    one, same, other = (each.picture for each in made)
    assert one.size == (32, 32) and one.mode == "RGB"
    assert np.array_equal(np.asarray(one), np.asarray(same))
    assert not np.array_equal(np.asarray(one), np.asarray(other))
    assert generator.name.startswith("diffusers@")


def test_a_pipeline_with_code_or_pickles_is_refused(pipeline: Path, tmp_path: Path) -> None:
    import shutil

    coded = shutil.copytree(pipeline, tmp_path / "coded")
    (coded / "unet" / "model.py").write_text("raise SystemExit")
    with pytest.raises(ConfigError, match="is code"):
        load_generator(str(coded))
    pickled = shutil.copytree(pipeline, tmp_path / "pickled")
    (weights,) = (pickled / "unet").glob("*.safetensors")
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ConfigError, match=r"safetensors|holds no"):
        load_generator(str(pickled))


def test_without_diffusers_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ConfigError, match=r"overread\[synthesis\]"):
        load_generator(str(tmp_path))


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="the extra 'synthesis' is not installed")
    with pytest.raises(ConfigError, match=r"no model_index\.json"):
        load_generator(str(tmp_path))
