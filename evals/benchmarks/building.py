"""From a row to an item, by the words of a spec."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overread.evals.benchmarks import choices as ch
from overread.evals.benchmarks import fields
from overread.evals.benchmarks.boxes import with_boxes
from overread.evals.benchmarks.place import Place
from overread.evals.benchmarks.schema import Spec
from overread.evals.benchmarks.spelled import spelled
from overread.evals.benchmarks.tables import Row
from overread.evals.items import Item, Kind
from overread.imaging.errors import InputError

YES_NO = ("yes", "no")
_TAG = re.compile(r"<image\s*(\d+)>")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def build(row: Row, item: str, spec: Spec, place: Place) -> Item:
    """Make an item.

    Args:
        row: Of the benchmark's table.
        item: Its id.
        spec: Says what is where.
        place: Where its images are.

    Raises:
        InputError: The row cannot be asked or marked; the message says why, not which.
    """
    question, options = _question(row, spec), _options(row, spec)
    if spec.options.inline:
        question, options = ch.split_inline(question)
        if not options:
            raise InputError("its question holds no options")
    kind = _stated_kind(row, spec)
    answers = () if kind == "boxes" else _answers(row, spec)
    kind = kind or _kind(answers[0], spec, options)
    if not question and (kind == "report" or not spec.columns.question):
        question = spec.ask
    if not question:
        raise InputError("its question is empty")
    texts = tuple(text for _, text in options)
    extra = {key: fields.value(row, column) for key, column in spec.columns.extra.items()
             if fields.label(row, column)}  # fmt: skip
    if kind == "choice":
        if not options:
            raise InputError("it has no options")
        right = ch.answer_place(answers[0], options, spec.options.answer)
        answers = (chr(ord("A") + right),)
    elif kind == "closed":
        answers, texts = _closed(answers, options, texts, spec)
    elif kind == "retrieval":
        answers = tuple(case for answer in answers for case in _parted(answer))
    images = _images(row, spec, place)
    if spec.image_tags:
        question, texts, images = _cited(question, texts, images)
    files = tuple(place.image(image) if isinstance(image, str) else place.embedded(image)
                  for image in images if image is not None)  # fmt: skip
    if not files and not spec.images.optional:
        raise InputError("it has no image")
    slices = _slices(row | {"_images": len(files)}, spec, kind)
    if kind == "number":
        extra |= _number(answers[0], extra, slices, spec)
    if kind == "report":
        extra |= {name: fields.text(row, column) for name, column in spec.columns.sections.items()}
    built = Item(
        id=item,
        question=question,
        images=files,
        answers=answers,
        kind=kind,
        options=texts if kind in ("choice", "closed") else (),
        cluster=fields.label(row, spec.columns.cluster) or _image_name(images, files),
        slices=slices,
        extra=extra,
    )
    return with_boxes(built, _boxes(row, spec), spec.boxes) if kind == "boxes" else built


def _question(row: Row, spec: Spec) -> str:
    question = fields.text(row, spec.columns.question) if spec.columns.question else ""
    for piece in spec.cut:
        question = question.replace(piece, "")
    if spec.until:
        question = question.split(spec.until)[0]
    return question.strip()


def _options(row: Row, spec: Spec) -> list[ch.Choice]:
    if spec.options.columns:
        return ch.read_columns([fields.value(row, column) for column in spec.options.columns])
    return ch.read_choices(fields.value(row, spec.options.column)) if spec.options.column else []


def _answers(row: Row, spec: Spec) -> tuple[str, ...]:
    if spec.columns.sections:
        return (" ".join(filter(None, (fields.text(row, column)
                                       for column in spec.columns.sections.values()))),)  # fmt: skip
    for column in spec.columns.answer:
        found = fields.value(row, column)
        if isinstance(found, str) and spec.answer_lists:
            found = spelled(found)
        parts = found if isinstance(found, list) else [fields.text(row, column)]
        answers = tuple(str(part).strip() for part in parts if part is not None)
        answers = tuple(answer for answer in answers if answer)
        if answers and answers[0] not in spec.hidden:
            return answers
    raise InputError("its answer is empty or not published")


def _stated_kind(row: Row, spec: Spec) -> Kind | None:
    if spec.kind.fixed:
        return spec.kind.fixed
    if spec.kind.column and (word := fields.label(row, spec.kind.column).lower()):
        if word not in spec.kind.values:
            allowed = ", ".join(spec.kind.values)
            raise InputError(f"its {spec.kind.column} is '{word}', which is none of {allowed}")
        return spec.kind.values[word]
    return None


def _kind(answer: str, spec: Spec, options: Sequence[ch.Choice]) -> Kind:
    if options:
        place = ch.answer_place(answer, options, spec.options.answer)
        return "closed" if _same(answer, options[place][1]) else "choice"
    return "closed" if any(_same(answer, word) for word in YES_NO) else "open"


def _closed(
    answers: tuple[str, ...], options: Sequence[ch.Choice], texts: tuple[str, ...], spec: Spec
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the answers in the words of the options, and the options."""
    if options:
        return (texts[ch.answer_place(answers[0], options, spec.options.answer)],), texts
    word = next((word for word in YES_NO if _same(answers[0], word)), None)
    return ((word,), YES_NO) if word else (answers, ())


def _same(one: str, other: str) -> bool:
    return one.strip().rstrip(".").casefold() == other.strip().rstrip(".").casefold()


def _images(row: Row, spec: Spec, place: Place) -> list[str | bytes | None]:
    """Return the images; with tags one entry a column, since tags count columns."""
    if not spec.image_tags:
        return list(fields.pictures(row, spec.columns.images, spec.images.separator))
    return [next(fields.pictures(row, [column]), None) for column in spec.columns.images]


def _cited(
    question: str, options: tuple[str, ...], images: list[str | bytes | None]
) -> tuple[str, tuple[str, ...], list[str | bytes | None]]:
    """Keep the cited images, in the order of their first citation, and number the tags anew."""
    whole = "\n".join((question, *options))
    order = list(dict.fromkeys(int(number) for number in _TAG.findall(whole)))
    if not order:
        return question, options, images
    for number in order:
        if not 1 <= number <= len(images) or images[number - 1] is None:
            raise InputError(f"its text cites image {number}, which it does not have")

    def renumber(text: str) -> str:
        return _TAG.sub(lambda tag: f"<image {order.index(int(tag[1])) + 1}>", text)

    kept = [images[number - 1] for number in order]
    return renumber(question), tuple(map(renumber, options)), kept


def _slices(row: Row, spec: Spec, kind: Kind) -> dict[str, str]:
    slices = {name: fields.label(row, columns) for name, columns in spec.columns.slices.items()}
    if prefix := spec.columns.slice_prefix:
        for column in row:
            if column.startswith(prefix):
                slices[column.removeprefix(prefix)] = fields.label(row, column)
    return {"answer_type": kind} | {name: found for name, found in slices.items() if found}


def _number(
    answer: str, extra: dict[str, Any], slices: dict[str, str], spec: Spec
) -> dict[str, Any]:
    if not _NUMBER.fullmatch(answer):
        raise InputError(f"its answer '{answer}' is not a number")
    by = slices.get(spec.number.by or "", "")
    tolerance = extra.get("tolerance", spec.number.tolerances.get(by, spec.number.tolerance))
    try:
        tolerance = float(tolerance)
    except (TypeError, ValueError):
        tolerance = -1.0
    if not tolerance >= 0:
        raise InputError(f"its tolerance '{extra['tolerance']}' is not a share such as 0.2")
    return {"tolerance": tolerance, "unit": str(extra.get("unit", ""))}


def _parted(answer: str) -> list[str]:
    """Return the ids of relevant cases; a list holds one a part, a text parts them by ";"."""
    return [case.strip() for case in answer.split(";") if case.strip()]


def _boxes(row: Row, spec: Spec) -> Any:
    for column in spec.columns.answer:
        found = fields.value(row, column)
        if found is not None and found != "":
            return found
    raise InputError("its answer is empty; write none where there is no box")


def _image_name(images: Sequence[str | bytes | None], files: tuple[Path, ...]) -> str:
    """Return what tells the first image from others wherever the copy lies."""
    if not files:
        return ""
    first = next(image for image in images if image is not None)
    return first if isinstance(first, str) else files[0].stem
