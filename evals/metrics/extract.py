"""Find the answer proper in what a model wrote: without thoughts, citations and wrappers."""

import re
import unicodedata

from overread.agent.ledger import CITATION, spread_citations

_THOUGHT = re.compile(
    r"<(think|thinking|reasoning)>.*?</\1>|^.*?</think>", re.DOTALL | re.IGNORECASE
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_MARKER = re.compile(
    r"\b(?:(?:final|correct|best|right|my|the)\s+)*(?:answer|option|choice)\b[*_\s]*"
    r"(?::|=|\bis\b(?:\s*:)?(?!\s+not\b))[*_\s]*",
    re.IGNORECASE,
)
_SPACES = re.compile(r"[^\S\n]+")
_SPACED_SIGN = re.compile(r" ([.,;:!?])(?=\s|$)")
_MARKDOWN = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")


def cleaned(text: str) -> str:
    """Return a text without thoughts, citations such as [E2], and Markdown emphasis.

    >>> cleaned("<think>A or B?</think>**Yes** [E2]")
    'Yes'
    """
    text = _THOUGHT.sub(" ", unicodedata.normalize("NFKC", text))
    text = CITATION.sub(" ", spread_citations(text))
    text = _SPACED_SIGN.sub(r"\1", _SPACES.sub(" ", text))
    return _MARKDOWN.sub("", text).strip()


def wrapped(text: str) -> str | None:
    r"""Return what stands in the last ``\boxed{}``, else in the last ``<answer>``; None if neither.

    >>> wrapped(r"Thus \boxed{\text{B}}."), wrapped("It is B.")
    ('B', None)
    """
    for pattern in (_BOXED, _TAGGED):
        if found := pattern.findall(text):
            return _LATEX_WORDS.sub(r"\1", found[-1]).strip()
    return None


def after_markers(text: str) -> list[str]:
    """Return what follows each "answer is", "Answer:", "final answer =", up to the line's end.

    The last one stands first: models correct themselves. Words before "not" are no marker.

    >>> after_markers("The answer is A. No - final answer: B")
    ['B', 'A. No - final answer: B']
    """
    pieces = [text[found.end() :].lstrip() for found in _MARKER.finditer(text)]
    return [piece.split("\n", 1)[0].strip() for piece in reversed(pieces) if piece]
