"""Templates of reports: data in `templates.toml`, one for each kind of image."""

import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

_FILE = Path(__file__).with_name("templates.toml")


class Template(BaseModel, frozen=True, extra="forbid"):
    """How a report is ordered.

    Attributes:
        modalities, body_parts: Of the images it is for; any if empty.
        regions: Always in the report, assessed or not, in this order.
        domain: Whose findings should have been assessed, or None.
        loinc: Code and name of the kind of study.
    """

    name: str
    title: str
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    domain: str | None = None
    loinc: tuple[str, str] = ("18748-4", "Diagnostic imaging study")

    def fits(self, modality: str, body_part: str | None) -> bool:
        """Return whether it is for such an image."""
        return (not self.modalities or modality in self.modalities) and (
            not self.body_parts or body_part in self.body_parts
        )


@lru_cache(maxsize=1)
def templates() -> tuple[Template, ...]:
    """Return all templates; the last fits every image."""
    listed = tomllib.loads(_FILE.read_text("utf-8"))["template"]
    return tuple(Template.model_validate(item) for item in listed)


def template_for(modality: str, body_part: str | None) -> Template:
    """Return the first template that fits an image.

    >>> template_for("CR", "chest").title, template_for("OT", None).title
    ('Radiograph of the chest', 'Medical image')
    """
    return next(item for item in templates() if item.fits(modality, body_part))


def template_named(name: str) -> Template:
    """Return a template by its name; the one for any image if a later version dropped it."""
    return next((item for item in templates() if item.name == name), templates()[-1])
