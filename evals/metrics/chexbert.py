"""CheXbert: fourteen chest findings of a report, labelled by a BERT from a local checkpoint.

The code runs on any checkpoint in the published layout; the published weights are not bundled.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from overread.evals.metrics.model_folder import load_state, require
from overread.imaging.errors import ConfigError

if TYPE_CHECKING:
    import torch

CONDITIONS = (
    "enlarged cardiomediastinum", "cardiomegaly", "lung opacity", "lung lesion", "oedema",
    "consolidation", "pneumonia", "atelectasis", "pneumothorax", "pleural effusion",
    "pleural other", "fracture", "support devices", "no finding",
)  # fmt: skip
# The five of the CheXpert competition, reported as "F1-5".
FIVE = ("cardiomegaly", "oedema", "consolidation", "atelectasis", "pleural effusion")
_POSITIVE, _UNCERTAIN = 1, 3  # classes of a head: blank, positive, negative, uncertain
_CLASSES = (4,) * 13 + (2,)
_BATCH = 16


class CheXbert:
    """A loaded labeller.

    Source: Smit et al., CheXbert, EMNLP 2020. Uncertain counts as positive, as is usual when
    reports are compared.
    """

    def __init__(self, folder: Path) -> None:
        """Load encoder and heads.

        Args:
            folder: Holds `config.json` and the tokenizer of the BERT it was tuned from
                (bert-base-uncased), and the checkpoint `chexbert.pth` or `chexbert.safetensors`.

        Raises:
            ConfigError: A file is missing, or the checkpoint has another layout.
        """
        import torch
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        needed = {
            "config.json": "configuration of its BERT",
            "vocab.txt": "vocabulary of its BERT",
            "chexbert.*": "checkpoint, chexbert.pth or chexbert.safetensors",
        }
        require(folder, needed, "CheXbert")
        local = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        self._bert = AutoModel.from_config(AutoConfig.from_pretrained(folder, **local)).eval()
        width = self._bert.config.hidden_size
        self._heads = torch.nn.ModuleList(torch.nn.Linear(width, size) for size in _CLASSES)
        found = load_state(max(folder.glob("chexbert.*")), "CheXbert")
        state = {name.removeprefix("module."): value for name, value in found.items()}
        self._load(self._bert, state, "bert.", folder)
        self._load(self._heads, state, "linear_heads.", folder)

    def labels(self, reports: Sequence[str]) -> list[frozenset[str]]:
        """Return the conditions that are positive or uncertain in each report; none in an empty one."""
        import torch

        found: list[frozenset[str]] = []
        for start in range(0, len(reports), _BATCH):
            texts = [" ".join(report.split()) for report in reports[start : start + _BATCH]]
            batch = self._tokenizer(
                texts, padding=True, truncation=True, max_length=512, return_tensors="pt"
            )
            with torch.inference_mode():
                first = self._bert(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
                ).last_hidden_state[:, 0]
                classes = torch.stack([head(first).argmax(-1) for head in self._heads], dim=1)
            for text, row in zip(texts, classes.tolist(), strict=True):
                positive = zip(CONDITIONS, row, strict=True)
                kept = (name for name, value in positive if value in (_POSITIVE, _UNCERTAIN))
                found.append(frozenset(kept) if text else frozenset())
        return found

    @staticmethod
    def _load(
        module: "torch.nn.Module", state: dict[str, "torch.Tensor"], prefix: str, folder: Path
    ) -> None:
        own = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            # An index that older releases of transformers saved and newer ones compute.
            if name.startswith(prefix) and not name.endswith("embeddings.position_ids")
        }
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"CheXbert: the checkpoint in {folder} does not fit its config.json: {reason}"
            ) from error


def label_f1(candidate: frozenset[str], reference: frozenset[str]) -> float:
    """Return the F1 of one report's positive labels; 1 where both have none.

    >>> round(label_f1(frozenset({"oedema", "fracture"}), frozenset({"oedema"})), 3)
    0.667
    """
    if not candidate and not reference:
        return 1.0
    return 2 * len(candidate & reference) / (len(candidate) + len(reference))
