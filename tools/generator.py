"""What makes up pictures: the phantom generator, or a diffusers pipeline from a local folder."""

import importlib.util
import inspect
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL.Image

from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import files_hash
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import generate, labels_of
from overread.imaging.phantoms.words import SETTINGS, TERMS
from overread.imaging.render import to_view
from overread.imaging.vocabulary import DOMAINS

PHANTOMS = "phantoms"
_PATIENTS, _TRIES, _DRAFT = 100_000, 400, 64


class Generator(Protocol):
    """Makes up pictures.

    Attributes:
        name: Identity, with a hash of the weights where there are any.
    """

    name: str

    def make(self, words: str, seed: int) -> PIL.Image.Image:
        """Return a picture of what words ask for; the same for the same seed.

        Raises:
            InputError: The words ask for something it cannot make.
        """


class PhantomGenerator:
    """Overread's own phantoms: geometry and noise, no model; a few domains and findings."""

    name = "phantoms 1"

    def make(self, words: str, seed: int) -> PIL.Image.Image:
        """Return a phantom with exactly the findings that the words name; "normal" for none."""
        domain, findings = understood(words)
        wanted = sorted(findings) or ["normal"]
        patients = np.random.default_rng(seed).permutation(_PATIENTS)[:_TRIES]
        for patient in patients.tolist():
            if labels_of(generate(domain, patient, size=_DRAFT)) == wanted:
                phantom = generate(domain, patient)
                image = phantom_image(phantom)
                return PIL.Image.fromarray(to_view(image))
        raise InputError(
            f"no phantom of {domain} with {' and '.join(wanted)} was found; ask for less"
        )


def understood(words: str) -> tuple[str, set[str]]:
    """Return domain and findings that words name.

    Raises:
        InputError: They name no domain, or say what is not there.

    >>> understood("Chest X-ray with a pleural effusion")
    ('chest-xray', {'effusion'})
    """
    if {"no", "not", "without"} & set(words.casefold().split()):
        raise InputError("say what the picture shows; what is not named is not there")
    said = words.casefold().replace("-", " ").replace("x ray", "xray").replace("mri", "mr")
    parts = set(said.split())

    def fits(domain: str) -> float:
        named = set(domain.split("-"))
        own = {SETTINGS[domain].modality.casefold(), SETTINGS[domain].body}
        return len(named & parts) / len(named) + 0.1 * sum(name in said for name in own if name)

    best = max(DOMAINS, key=fits)
    if fits(best) < 0.5:
        raise InputError(
            f"'{words:.60}' names nothing the phantoms know; they know {', '.join(DOMAINS)}"
        )
    findings = {
        name
        for name in DOMAINS[best][1]
        if name in said or any(form in said for form in _forms(best, name))
    }
    return best, findings


def _forms(domain: str, finding: str) -> tuple[str, ...]:
    term = TERMS.get((domain, finding))
    return () if term is None else (term.noun, term.plural)


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

    def make(self, words: str, seed: int) -> PIL.Image.Image:
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
        return picture.convert("RGB")


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
