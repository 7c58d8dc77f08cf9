"""Evidence as HTML cards: what each tool said, how sure it is, and a small picture of it."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image as PilImage

from overread.tools.base import Artifact, Evidence

THUMBNAIL_PX = 136
PICTURES = ("overlay", "contact_sheet", "plot")
NOTHING_YET = (
    "Nothing yet. Every statement of an answer cites a numbered piece of evidence; they are "
    "listed here with the tool that found each."
)


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
    return (
        f'<div class="card" data-evidence="{html.escape(item.id)}">'
        f'<div class="head"><span class="id">{html.escape(item.id)}</span>'
        f'<span class="tool">{html.escape(item.tool)}</span>{_confidence(item.confidence)}</div>'
        f'<div class="said">{html.escape(item.content)}</div>'
        f'<div class="meta">{html.escape(_origin(item))}</div>{picture}</div>'
    )


def _confidence(confidence: float | None) -> str:
    if confidence is None:
        return ""
    percent = round(100 * confidence)
    return f'<span><span class="bar"><i style="width:{percent}%"></i></span>{percent}%</span>'


def _origin(item: Evidence) -> str:
    return " · ".join(part for part in (item.image, item.version) if part)
