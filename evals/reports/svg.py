"""Matplotlib figures as SVG that sits inside a page: the page's own colours, nothing external."""

import io
import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#030304"
SERIES = ("#040401", "#040402", "#040403", "#040404", "#040405", "#040406")
MARKERS = ("o", "s", "^", "D", "v", "P")
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--card"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}
"""Colours that stand for the page's CSS variables, so that one drawing serves both schemes."""

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be found, copied and read aloud
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}
_TO_PAGE = (
    (re.compile(r"^.*?(?=<svg)", re.DOTALL), ""),
    (re.compile(r"<metadata>.*?</metadata>", re.DOTALL), ""),
    (re.compile(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"'), ""),
    (re.compile(r"xlink:href="), "href="),
    (re.compile(r"<style[^>]*>.*?</style>", re.DOTALL), ""),
    (re.compile(r"font-family: [^;\"]*; ?"), ""),  # the page's own
)


def style() -> Any:
    """Return a context in which figures are drawn in the page's style."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def series(number: int) -> tuple[str, str]:
    """Return colour and marker of the n-th series; they repeat after six."""
    return SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]


def inline(figure: "Figure", name: str, alt: str) -> Markup:
    """Return a figure as an `<svg>` element, the same bytes for the same figure.

    Args:
        figure: Drawn in `style()`.
        name: Unique in the page; prefixes all ids of the drawing.
        alt: What the figure shows, for those who cannot see it.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(
            buffer,
            format="svg",
            bbox_inches="tight",
            pad_inches=0.05,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    for pattern, replacement in _TO_PAGE:
        text = pattern.sub(replacement, text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    label = f'<svg role="img" aria-label="{escape(alt)}"'
    # Safe: Matplotlib escapes the text that it draws, the label is escaped here.
    return Markup(text.replace("<svg", label, 1).strip())
