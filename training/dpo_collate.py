"""Batches of preference pairs in which each side may see its own images.

TRL's collator for images builds one batch of 2n rows, the n chosen ones first, and hands the n examples'
images to both halves (`DataCollatorForVisionPreference`: `images = [...] * 2`). A pair of the kind 'look'
needs more: its two replies may be the same words, and only the image differs. With one set of images
its two log-ratios would be equal and its gradient zero.

So TRL's collator is called a second time with the noised images, and its image tensors are joined: the
first half of one, the second half of the other. Noise keeps a picture's size, so both have the same
number of image tokens, and all that is made of text is the same in both.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from overread.agent.prompts import for_template
from overread.imaging.errors import InputError
from overread.training.examples import Pair, open_image
from overread.training.noise import Noise, noised

if TYPE_CHECKING:
    import PIL.Image
    import torch

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
_TEXT = frozenset(
    ("input_ids", "attention_mask", "completion_mask", "token_type_ids", "mm_token_type_ids")
)


class PairCollator:
    """From rows with a pair as JSON ("pair") to what `trl.DPOTrainer` takes; images are drawn here."""

    def __init__(self, processor: Any, max_length: int | None, image_size: int) -> None:
        """Prepare.

        Args:
            processor: Of the model.
            max_length: Tokens of a prompt with its reply at most; see `DPOConfig.max_length`.
            image_size: Edge of the views, in pixels.
        """
        from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

        self._make = DataCollatorForVisionPreference(processor=processor, max_length=max_length)
        self._size = image_size

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, "torch.Tensor"]:
        """Return 2n rows, the n chosen ones first, and the reference's log-probabilities if known."""
        import torch

        pairs = [Pair.model_validate_json(row["pair"]) for row in rows]
        seen = [chosen_pictures(pair, self._size) for pair in pairs]
        batch = dict(self._batch(pairs, seen))
        if any(pair.rejected_images is not None for pair in pairs):
            hidden = [
                rejected_pictures(pair, self._size) if pair.rejected_images is not None else shown
                for pair, shown in zip(pairs, seen, strict=True)
            ]
            other = self._batch(pairs, hidden)
            for name in batch.keys() - _TEXT:
                first, second = batch[name].chunk(2), other[name].chunk(2)
                batch[name] = torch.cat([first[0], second[1]])
        for name in REFERENCE:
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows])
        return batch

    def _batch(self, pairs: Sequence[Pair], pictures: Sequence[list["PIL.Image.Image"]]) -> Any:
        """Make a batch; TRL would put images before the first message in plain text, so none is."""
        return self._make(
            [
                {
                    "prompt": for_template(pair.messages),
                    "chosen": [{"role": "assistant", "content": pair.chosen}],
                    "rejected": [{"role": "assistant", "content": pair.rejected}],
                    "images": shown,
                }
                for pair, shown in zip(pairs, pictures, strict=True)
            ]
        )


def chosen_pictures(pair: Pair, size: int) -> list["PIL.Image.Image"]:
    """Return what the chosen side sees."""
    return [open_image(ref, size) for ref in pair.images]


def rejected_pictures(pair: Pair, size: int) -> list["PIL.Image.Image"]:
    """Return what the rejected side sees: its own images, noised if the pair says so.

    Raises:
        InputError: There are not as many as of the chosen side.
    """
    refs = pair.images if pair.rejected_images is None else pair.rejected_images
    if len(refs) != len(pair.images):
        raise InputError(
            f"pair '{pair.id}' shows {len(pair.images)} images to the chosen side and {len(refs)} "
            "to the rejected one; both must have as many"
        )
    pictures = [open_image(ref, size) for ref in refs]
    if pair.noise is None:
        return pictures
    noise = Noise.model_validate(pair.noise)
    return [noised(picture, noise.of(str(n))) for n, picture in enumerate(pictures)]
