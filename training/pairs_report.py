"""What a file of pairs holds, to be read before anything is trained on it: balance, and a sample to audit.

One HTML page without script or request; every text from data is escaped, every picture is inside. It
shows the images of the pairs: of users' own files only to those who have them anyway.
"""

import base64
import io
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.evals import reports
from overread.evals.reports.document import RESEARCH, Table
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.training.dpo_collate import chosen_pictures, rejected_pictures
from overread.training.examples import VIEW_SIZE, Pair, PhantomRef
from overread.training.pair_balance import yes_or_no
from overread.training.rewards.reference import text_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

AUDITED = 6
"""Pairs of each kind in the sample."""

ENOUGH = 20
"""Pairs from which on an imbalance is warned of."""

UNEVEN = 0.7
"""A share from which on, or below one minus it, two sides are called uneven."""

_SIGNIFICANT = 0.01
_QUALITY = 82
_HERE = Path(__file__).parent
_KINDS = {
    "look": "right with noise in the image's place: look at the image",
    "use_context": "right with reports, wrong without: use them",
    "resist_context": "right alone, wrong with reports: resist them",
    "call_tool": "look first: its own call before its answer without one",
    "correction": "as users corrected it",
}


@dataclass(frozen=True, slots=True)
class Balance:
    """The tables of a report, and what is wrong with the pairs."""

    tables: tuple[Table, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words of the two sides of some pairs.

    Attributes:
        chosen, rejected: Medians.
        longer: Share of pairs whose chosen side is longer, ties counted half: how often "the longer
            one is better" is right. 0.5 where length tells nothing.
        tells: Whether length alone tells the sides apart: the share is uneven, and not by chance.
    """

    chosen: float
    rejected: float
    longer: float
    tells: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One pair to look at; `images` are the chosen side's, then the rejected side's if others."""

    id: str
    told: tuple[str, ...]
    chosen: str
    rejected: str
    images: tuple[tuple[str, str], ...]
    problem: str
    meta: str


def lengths(pairs: Sequence[Pair]) -> Lengths:
    """Compare the lengths of chosen and rejected replies, in words.

    Args:
        pairs: At least one.

    Source: a sign test (binomial, two-sided) on the pairs that are not ties.
    """
    from scipy.stats import binomtest

    sizes = [(len(pair.chosen.split()), len(pair.rejected.split())) for pair in pairs]
    longer = sum(one > other for one, other in sizes)
    shorter = sum(one < other for one, other in sizes)
    share = (longer + (len(sizes) - longer - shorter) / 2) / len(sizes)
    uneven = not 1 - UNEVEN < share < UNEVEN
    by_chance = not longer + shorter or binomtest(longer, longer + shorter).pvalue >= _SIGNIFICANT
    return Lengths(
        chosen=statistics.median(one for one, _ in sizes),
        rejected=statistics.median(other for _, other in sizes),
        longer=share,
        tells=uneven and not by_chance,
    )


def balance(pairs: Sequence[Pair]) -> Balance:
    """Return how the pairs are spread over kinds, domains, tasks, answers and lengths.

    Raises:
        InputError: There is no pair.
    """
    if not pairs:
        raise InputError("there is no pair to report on; ask more questions, or other ones")
    kinds = [kind for kind in _KINDS if any(pair.kind == kind for pair in pairs)]
    by_kind = {kind: [pair for pair in pairs if pair.kind == kind] for kind in kinds}
    groups = {**by_kind, "all": list(pairs)} if len(kinds) > 1 else by_kind
    tables = (
        _kinds(groups),
        _answers(groups),
        _lengths(groups),
        _cross("Pairs by domain", "domain", pairs, kinds, domain_of),
        _cross("Pairs by task", "task", pairs, kinds, lambda pair: pair.task or "not stated"),
        _cross("Pairs by source", "source", pairs, kinds, lambda pair: pair.dataset),
    )
    return Balance(tables, tuple(_warnings(by_kind)))


def domain_of(pair: Pair) -> str:
    """Return the domain of a pair's images: of phantoms their own, of files "files"."""
    names = {ref.domain if isinstance(ref, PhantomRef) else "files" for ref in pair.images}
    return ", ".join(sorted(names)) or "no image"


def write_report(
    pairs: Sequence[Pair], out: Path, title: str, facts: Sequence[tuple[str, str]], seed: int = 0
) -> Path:
    """Write the report as one HTML page; the same pairs give the same bytes.

    Args:
        pairs: At least one.
        out: The file.
        title: Of the page.
        facts: What else to say of how the pairs came about, by name.
        seed: Of the sample.

    Raises:
        InputError: There is no pair.
        ConfigError: The file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = balance(pairs)
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
    )
    css = (Path(reports.__path__[0]) / "report.css").read_text("utf-8").strip()
    page = environment.get_template("pairs_report.html.jinja").render(
        title=title,
        research=RESEARCH,
        css=Markup(css),
        lead=f"{len(pairs)} pairs of {len({pair.patient for pair in pairs})} patients.",
        facts=list(facts),
        balance=found,
        samples=[(_named(kind), _KINDS[kind], shown) for kind, shown in _samples(pairs, seed)],
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, page + "\n", mode=ORDINARY)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    return out


def _kinds(groups: dict[str, list[Pair]]) -> Table:
    rows = tuple(
        (
            _named(kind),
            str(len(some)),
            str(sum(pair.split == "train" for pair in some)),
            str(sum(pair.split == "validation" for pair in some)),
            str(len({pair.patient for pair in some})),
        )
        for kind, some in groups.items()
    )
    return Table("Pairs by kind", ("kind", "pairs", "train", "validation", "patients"), rows)


def _answers(groups: dict[str, list[Pair]]) -> Table:
    rows = []
    for kind, some in groups.items():
        sides = {"chosen": [p.chosen for p in some], "rejected": [p.rejected for p in some]}
        for side, replies in sides.items():
            said = Counter(yes_or_no(reply) for reply in replies)
            rows.append((_named(kind), side, *(str(said[word]) for word in ("yes", "no", ""))))
    return Table("Answers", ("kind", "side", "yes", "no", "other"), tuple(rows), words=2)


def _lengths(groups: dict[str, list[Pair]]) -> Table:
    rows = []
    for kind, some in groups.items():
        found = lengths(some)
        cells = (f"{found.chosen:g}", f"{found.rejected:g}", f"{100 * found.longer:.0f} %")
        rows.append((_named(kind), *cells))
    header = ("kind", "chosen", "rejected", "chosen longer")
    return Table(
        "Words of a reply, median; how often the longer is the better", header, tuple(rows)
    )


def _cross(
    caption: str,
    name: str,
    pairs: Sequence[Pair],
    kinds: Sequence[str],
    key: Callable[[Pair], str],
) -> Table:
    counts: Counter[tuple[str, str]] = Counter((key(pair), pair.kind) for pair in pairs)
    values = sorted({value for value, _ in counts})
    rows = tuple(
        (value, *(str(counts[value, kind]) for kind in kinds),
         str(sum(counts[value, kind] for kind in kinds)))
        for value in values
    )  # fmt: skip
    return Table(caption, (name, *map(_named, kinds), "all"), rows)


def _warnings(by_kind: dict[str, list[Pair]]) -> list[str]:
    found = []
    for kind, some in by_kind.items():
        if len(some) < ENOUGH:
            found.append(
                f"{_named(kind)}: {len(some)} pairs are few; balance cannot be told from chance."
            )
            continue
        told = lengths(some)
        if told.tells:
            which = "longer" if told.longer > 0.5 else "shorter"
            share = max(told.longer, 1 - told.longer)
            found.append(
                f"{_named(kind)}: length alone tells the sides apart: the {which} reply is the chosen one "
                f"in {100 * share:.0f} % of the pairs. A model may learn just that."
            )
        said = Counter(yes_or_no(pair.chosen) for pair in some)
        both = said["yes"] + said["no"]
        if both >= ENOUGH and not 1 - UNEVEN < said["yes"] / both < UNEVEN:
            found.append(
                f"{_named(kind)}: {100 * said['yes'] / both:.0f} % of the chosen yes/no answers are yes. A "
                "model may learn the answer instead of the question."
            )
    return found


def _samples(pairs: Sequence[Pair], seed: int) -> list[tuple[str, list[Shown]]]:
    rng = random.Random(seed)
    samples = []
    for kind in _KINDS:
        some = [pair for pair in pairs if pair.kind == kind]
        if some:
            chosen = rng.sample(some, min(AUDITED, len(some)))
            samples.append((kind, [_shown(pair) for pair in chosen]))
    return samples


def _shown(pair: Pair) -> Shown:
    images: list[tuple[str, str]] = []
    problem = ""
    try:
        images += [("image", _url(view)) for view in chosen_pictures(pair, VIEW_SIZE)]
        if pair.rejected_images is not None:
            images += [("rejected side", _url(v)) for v in rejected_pictures(pair, VIEW_SIZE)]
    except (InputError, OSError):
        problem = "image not readable"
    facts = [pair.id, domain_of(pair), pair.split]
    if pair.noise is not None:
        facts.append(f"noise step {pair.noise.get('step')}")
    told = tuple(_line(message) for message in pair.messages if message["role"] != "system")
    return Shown(
        id=pair.id,
        told=told,
        chosen=pair.chosen,
        rejected=pair.rejected,
        images=tuple(images),
        problem=problem,
        meta=" · ".join(facts),
    )


def _named(kind: str) -> str:
    return kind.replace("_", " ")


def _line(message: dict[str, Any]) -> str:
    words = text_of(message["content"])
    return words if message["role"] == "user" else f"(planner) {words}"


def _url(picture: "Picture") -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
