"""The words in which an item is asked, the same for every subject."""

from overread.evals.benchmarks.schema import Spec
from overread.evals.items import Item, Kind

DEFAULTS: dict[Kind, str] = {
    "choice": "Answer with the option's letter from the given choices directly.",
    "closed": "Answer with one of: {options}.",
    "open": "Please answer the question concisely.",
    "number": "Answer with a single number {unit}.",
    "boxes": "Answer with a box around each as [left, top, right, bottom], in pixels of the image, "
    "which is {width} wide and {height} high; answer none if there is none.",
}
"""Tails where a spec says nothing; after MedEvalKit's `question_formats.py`."""

PHRASE = "Answer the question using a single word or phrase."
"""Of a closed question whose options are not listed, as in SLAKE."""


def prompt(item: Item, spec: Spec) -> str:
    """Return the question, its lettered options, and what form the answer should have.

    >>> from overread.evals.benchmarks.registry import spec
    >>> item = Item("1", "Which organ?", (), ("B",), "choice", ("Liver", "Lung"))
    >>> print(prompt(item, spec("medxpertqa-mm")))
    Which organ?
    A. Liver
    B. Lung
    Answer with the option's letter from the given choices directly.
    """
    lines = [item.question]
    if item.kind == "choice":
        lines += [
            f"{letter}. {text}" for letter, text in zip(item.letters, item.options, strict=True)
        ]
    tail = spec.prompt.get(item.kind, DEFAULTS.get(item.kind, ""))
    if item.kind == "closed" and not item.options and tail:
        tail = PHRASE
    unit = str(item.extra.get("unit", ""))
    tail = tail.replace("{options}", ", ".join(item.options))
    tail = tail.replace(" {unit}", f" in {unit}" if unit else "")
    if item.kind == "boxes":
        width, height = item.extra["size"]
        tail = tail.replace("{width}", str(width)).replace("{height}", str(height))
    return "\n".join([*lines, tail] if tail else lines)
