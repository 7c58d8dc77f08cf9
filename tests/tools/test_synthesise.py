"""Making up pictures: off by default, marked, repeatable, by phantoms and by a real pipeline."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.agent.config import Config
from overread.agent.resources import Resources
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.synthetic import KEY, marked
from overread.tools.base import ToolContext
from overread.tools.generator import PhantomGenerator, load_generator, understood
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
        plain = PhantomGenerator().make("Chest X-ray with a pleural effusion", 4)
        assert np.array_equal(np.asarray(picture), np.asarray(marked(plain)))
    assert call(allowed, what="Chest X-ray with a pleural effusion", count=2, seed=4) == reply


@pytest.mark.parametrize(
    ("words", "domain", "findings"),
    [
        ("CT of the chest with a nodule", "chest-ct", {"nodule"}),
        ("brain MRI", "brain-mr", set()),
        ("fundus photograph with haemorrhages", "fundus", {"haemorrhage"}),
        ("abdominal CT of the abdomen with a cyst", "abdomen-ct", {"cyst"}),
        ("histology", "histology", set()),
    ],
)
def test_words_are_understood(words: str, domain: str, findings: set[str]) -> None:
    assert understood(words) == (domain, findings)


@pytest.mark.parametrize("words", ["a cat", "chest xray without effusion"])
def test_words_that_are_not_understood_are_refused(words: str) -> None:
    with pytest.raises(InputError):
        understood(words)


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
    one, same, other = (generator.make("anything", seed) for seed in (1, 1, 2))
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
