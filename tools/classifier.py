"""Image classifiers in transformers' format, from a local folder: safetensors, no remote code."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from overread.imaging.errors import ConfigError, InputError
from overread.index.embedder import identity, safetensors_in
from overread.index.explain import upsampled

if TYPE_CHECKING:
    from torch import Tensor


class Classifier(Protocol):
    """Gives probabilities of its labels.

    Attributes:
        name: Identity, with a hash of the weights. labels: In the order of the probabilities.
        exclusive: Whether one label excludes the others, so that probabilities add up to one.
    """

    name: str
    labels: tuple[str, ...]
    exclusive: bool

    def probabilities(self, picture: PIL.Image.Image) -> NDArray[np.float64]:
        """Return one probability a label, shape (labels,)."""

    def gradient(self, picture: PIL.Image.Image, label: int) -> NDArray[np.float32]:
        """Return how much each place of a picture moves a label, float32 (rows, columns), >= 0.

        Args:
            picture: Square.
            label: Its number.

        Raises:
            InputError: The model does not see the whole picture.
        """

    def attention(self, picture: PIL.Image.Image, label: int) -> NDArray[np.float32]:
        """Return where the model attended for a label, float32 (rows, columns), >= 0.

        Args:
            picture: Square.
            label: Its number.

        Raises:
            InputError: The model does not see the whole picture, or does not attend to all of it.
        """


class TransformersClassifier:
    """Any `AutoModelForImageClassification` in a folder."""

    def __init__(self, folder: Path) -> None:
        """Load it.

        Raises:
            ConfigError: The folder holds no such model, or no safetensors.
        """
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        safetensors_in(folder)
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._processor = AutoImageProcessor.from_pretrained(folder, **options)
            self._model = AutoModelForImageClassification.from_pretrained(
                folder,
                use_safetensors=True,
                attn_implementation="eager",  # the others do not tell where they attend
                **options,
            ).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(
                f"{folder} holds no image classifier we can load: {reason}"
            ) from error
        config = self._model.config
        self.labels = tuple(str(config.id2label[n]) for n in range(config.num_labels))
        self.exclusive = config.problem_type != "multi_label_classification"
        self.name = identity("transformers-classifier", folder)

    def probabilities(self, picture: PIL.Image.Image) -> NDArray[np.float64]:
        """Return softmax or sigmoid of the logits, as the model's problem type wants."""
        import torch

        inputs = self._processor(images=picture.convert("RGB"), return_tensors="pt")
        with torch.inference_mode():
            logits = self._model(**inputs).logits[0].double()
        found = logits.softmax(0) if self.exclusive else logits.sigmoid()
        return np.asarray(found.numpy())

    def gradient(self, picture: PIL.Image.Image, label: int) -> NDArray[np.float32]:
        """Return the largest gradient of the label's logit over the colours, as (rows, columns).

        Source: Simonyan, Vedaldi, Zisserman, Deep inside convolutional networks (2014), section 3.
        """
        import torch

        pixels = self._all_of(picture).requires_grad_()
        with torch.enable_grad():
            logit = self._model(pixel_values=pixels).logits[0, label]
            (moved,) = torch.autograd.grad(logit, pixels)
        return upsampled(moved[0].abs().amax(0).numpy(), picture.height, picture.width)

    def attention(self, picture: PIL.Image.Image, label: int) -> NDArray[np.float32]:
        """Return the relevance of the picture's patches for the label's logit, as (rows, columns).

        Source: `attention.relevance`.
        """
        import torch

        from overread.tools.attention import relevance

        with torch.enable_grad():
            found = self._model(
                pixel_values=self._all_of(picture), output_attentions=True, return_dict=True
            )
            patches = relevance(found.logits[0, label], found.get("attentions") or ())
        return upsampled(patches, picture.height, picture.width)

    def _all_of(self, picture: PIL.Image.Image) -> "Tensor":
        if getattr(self._processor, "do_center_crop", False):
            raise InputError("the classifier sees the middle of a picture alone: no place is told")
        pixels = self._processor(images=picture.convert("RGB"), return_tensors="pt")["pixel_values"]
        return cast("Tensor", pixels)


def load_classifier(folder: Path) -> Classifier:
    """Load a classifier.

    Raises:
        ConfigError: There is no such folder, or no such model in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"agent.classifier: there is no folder {folder}")
    if not (folder / "config.json").is_file():
        raise ConfigError(f"agent.classifier: {folder} has no config.json; give a model's folder")
    return TransformersClassifier(folder)
