"""Cuts a text into passages at the ends of sentences. Pure."""

import re
from collections.abc import Iterator

MOST, OVERLAP = 700, 150
"""Characters of a passage, well below the 256 tokens that the sentence encoder reads; and of the
last sentences of a passage that the next one begins with."""

_PARAGRAPH = re.compile(r"\n\s*\n")
# A full stop ends a sentence when white space and a capital, digit or quotation mark follow, unless
# it belongs to an initial or a common abbreviation.
_END = re.compile(
    r"(?<!\b[A-Z])(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\bDr)(?<!\bFig)(?<!\bapprox)(?<!\bcf)"
    r"[.!?][\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])"
)
_SPACE = re.compile(r"\s+")


def sentences_of(text: str) -> list[str]:
    r"""Return the sentences of a text, white space put in order; a paragraph's end ends one, too.

    >>> sentences_of("No effusion, e.g. none. Heart 3.5 cm.\n\nNormal")
    ['No effusion, e.g. none.', 'Heart 3.5 cm.', 'Normal']
    """
    found = []
    for paragraph in _PARAGRAPH.split(text):
        start = 0
        for end in _END.finditer(paragraph):
            found.append(paragraph[start : end.end()])
            start = end.end()
        found.append(paragraph[start:])
    return [clean for sentence in found if (clean := _SPACE.sub(" ", sentence).strip())]


def passages_of(text: str, most: int = MOST, overlap: int = OVERLAP) -> list[str]:
    """Return passages of whole sentences, each of at most `most` characters.

    A passage begins with the last sentences of the one before, as far as they fit into `overlap`
    characters. A sentence longer than `most` is cut between words, a longer word anywhere.

    Args:
        text: Any.
        most: Positive.
        overlap: Less than `most`; 0 for none.

    Raises:
        ValueError: `overlap` is negative or not less than `most`.
    """
    if not 0 <= overlap < most:
        raise ValueError(f"overlap must be 0 to {most - 1}, got {overlap}")
    found: list[str] = []
    now: list[str] = []
    fresh = False  # whether `now` has anything that no passage has yet
    for piece in (piece for sentence in sentences_of(text) for piece in _pieces(sentence, most)):
        if now and len(" ".join([*now, piece])) > most:
            if fresh:
                found.append(" ".join(now))
            now = _tail(now, min(overlap, most - len(piece) - 1))
        now.append(piece)
        fresh = True
    return [*found, " ".join(now)] if fresh else found


def _tail(sentences: list[str], room: int) -> list[str]:
    kept: list[str] = []
    for sentence in reversed(sentences):
        if len(" ".join([sentence, *kept])) > room:
            break
        kept.insert(0, sentence)
    return kept


def _pieces(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        cut = sentence.rfind(" ", 1, most + 1)
        cut = cut if cut > 0 else most
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
