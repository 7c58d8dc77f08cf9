"""Evidence as HTML cards: what each tool said, how sure it is, and a small picture of it."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image as PilImage

from overread.agent.ledger import READER
from overread.tools.base import Artifact, Evidence
from overread.ui.wording import told

THUMBNAIL_PX = 136
PICTURES = ("overlay", "contact_sheet", "plot", "heat", "synthetic")
_BY = {READER: "by the reader"}
NOTHING_YET = (
    "Nothing yet. Every statement of an answer cites a numbered piece of evidence; they are "
    "listed here with the tool that found each."
)


@lru_cache(maxsize=512)
def thumbnail(path: Path) -> str:
    """Return a picture as a small `data:` URL, so that the page asks for no further file."""
    with PilImage.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


Locate = Callable[[Artifact], Path]


def evidence_cards(evidence: Sequence[Evidence], locate: Locate | None = None) -> str:
    """Return one card for each piece of evidence, all text escaped.

    Args:
        evidence: Oldest first.
        locate: Where an artifact's file is (`ArtifactStore.path`); None shows no pictures.
    """
    cards = "".join(_card(item, locate) for item in evidence)
    empty = f'<div class="empty">{NOTHING_YET}</div>'
    return f'<div class="evidence"><div class="title">Evidence</div>{cards or empty}</div>'


def _card(item: Evidence, locate: Locate | None) -> str:
    pictures = [artifact for artifact in item.artifacts if artifact.kind in PICTURES]
    picture = f'<img alt="" src="{thumbnail(locate(pictures[0]))}">' if pictures and locate else ""
    own = " reader" if item.tool == READER else ""
    return (
        f'<div class="card{own}" role="button" tabindex="0" data-evidence="{html.escape(item.id)}" '
        f'aria-label="Show {html.escape(item.id)}" title="{html.escape(_whole(item))}">'
        f'<div class="head"><span class="id">{html.escape(item.id)}</span>'
        f'<span class="tool">{html.escape(_BY.get(item.tool, item.tool))}</span>'
        f"{_confidence(item.confidence)}</div>"
        f'<div class="said">{html.escape(told(item))}</div>'
        f'<div class="meta">{html.escape(item.version)}</div>{picture}</div>'
    )


def _confidence(confidence: float | None) -> str:
    if confidence is None:
        return ""
    percent = round(100 * confidence)
    return f'<span><span class="bar"><i style="width:{percent}%"></i></span>{percent}%</span>'


def _whole(item: Evidence) -> str:
    """Return all that a card may have no room for, with the reference that logs and exports use."""
    return "\n".join(part for part in (told(item), item.version, item.image) if part)
