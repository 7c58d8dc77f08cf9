"""What makes up pictures: the phantom generator, or a diffusers pipeline from a local folder."""

import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL.Image

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import files_hash
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import generate, labels_of
from overread.imaging.render import to_view
from overread.tools.phantom_words import understood

PHANTOMS = "phantoms"
_PATIENTS, _TRIES, _DRAFT = 100_000, 400, 64


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A picture that was made up.

    Attributes:
        picture: It.
        shows: What was made, in words: the picture's label, whatever else was asked.
    """

    picture: PIL.Image.Image
    shows: str


class Generator(Protocol):
    """Makes up pictures.

    Attributes:
        name: Identity, with a hash of the weights where there are any.
    """

    name: str

    def make(self, words: str, seed: int) -> Made:
        """Return a picture of what words ask for; the same for the same seed.

        Raises:
            InputError: The words ask for something it cannot make.
        """


class PhantomGenerator:
    """Overread's own phantoms: geometry and noise, no model; a few domains and findings."""

    name = "phantoms 1"

    def make(self, words: str, seed: int) -> Made:
        """Return a phantom with exactly the findings that the words name; "normal" for none."""
        wanted = understood(words)
        labels = list(wanted.findings) or ["normal"]
        patients = np.random.default_rng(seed).permutation(_PATIENTS)[:_TRIES]
        for patient in patients.tolist():
            if labels_of(generate(wanted.domain, patient, size=_DRAFT)) == labels:
                image = phantom_image(generate(wanted.domain, patient))
                return Made(PIL.Image.fromarray(to_view(image)), str(wanted))
        raise InputError(f"no phantom of {wanted} was found; ask for fewer findings")


class DiffusersGenerator:
    """A diffusers pipeline in a folder: safetensors alone, no code of the folder, no network."""

    def __init__(self, folder: Path) -> None:
        """Load it.

        Raises:
            ConfigError: diffusers is not installed, or the folder holds no pipeline we may load.
        """
        if importlib.util.find_spec("diffusers") is None:
            raise ConfigError(
                "diffusers pipelines need an extra; install it with: pip install 'overread[synthesis]'"
            )
        if not (folder / "model_index.json").is_file():
            raise ConfigError(
                f"synthesis.model: {folder} has no model_index.json; give a pipeline's folder"
            )
        if code := next(folder.rglob("*.py"), None):
            raise ConfigError(
                f"synthesis.model: {code} is code; pipelines with their own do not run"
            )
        from diffusers import DiffusionPipeline

        options: dict[str, Any] = {
            "local_files_only": True,
            "use_safetensors": True,
            "trust_remote_code": False,
        }
        try:
            self._pipeline = DiffusionPipeline.from_pretrained(folder, **options)
        except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(f"{folder} holds no pipeline we can load: {reason}") from error
        self._pipeline.set_progress_bar_config(disable=True)
        self.name = _identity(folder)

    def make(self, words: str, seed: int) -> Made:
        """Return the pipeline's first picture; one that takes no words makes what it makes."""
        import torch

        takes = inspect.signature(self._pipeline.__call__).parameters
        given = {"prompt": words} if "prompt" in takes else {}
        noise = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            made = self._pipeline(**given, generator=noise, output_type="pil")
        picture = made.images[0]
        if not isinstance(picture, PIL.Image.Image):
            raise InputError(f"the pipeline made {type(picture).__name__}, no picture")
        shows = words if given else "what a pipeline makes that takes no words"
        return Made(picture.convert("RGB"), shows)


def _identity(folder: Path) -> str:
    """Return `diffusers@hash` over what is in a pipeline's folders; where it lies does not matter."""
    files = sorted([*folder.rglob("*.json"), *folder.rglob("*.safetensors")])
    return f"diffusers@{files_hash(files)[:12]}"


def load_generator(model: str) -> Generator:
    """Return what a configuration names: "phantoms", or a pipeline's folder.

    Raises:
        ConfigError: It cannot be loaded.
    """
    return PhantomGenerator() if model == PHANTOMS else DiffusersGenerator(Path(model).expanduser())
