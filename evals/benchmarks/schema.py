"""What a benchmark's TOML file may say. `generic.toml` is the one to copy."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from overread.evals.items import Kind

Pattern = str
"""A glob below the place, e.g. "data/test-*.parquet"."""


class Images(BaseModel, frozen=True, extra="forbid"):
    """Where named images lie.

    Attributes:
        folders: Below the place, tried in turn.
        archives: Globs of zip files, looked into when no folder has the image.
        strip: Beginnings that are cut off names, e.g. a path of the authors' machine.
        separator: Parts several names in one text, e.g. in CSV; a list needs none.
        anywhere: Whether names may lead out of the copy: for users' own tables alone, since a
            downloaded one could name any file of the machine.
        optional: Whether an item may do without.
    """

    folders: tuple[str, ...] = (".",)
    archives: tuple[Pattern, ...] = ()
    strip: tuple[str, ...] = ()
    separator: str | None = None
    anywhere: bool = False
    optional: bool = False


class Columns(BaseModel, frozen=True, extra="forbid"):
    """Which columns become which fields.

    A column is a name, or a path into nested values ("conversations.0.value"). `_file` and
    `_folder` stand for the stem and the parent of the table's file, `_images` for the number of
    images.

    Attributes:
        id: Joined by "/". Where there is none, or the table lacks one of them, the id is a hash of
            the content, so that it does not depend on the order of rows.
        question: None where all items ask the same (`Spec.ask`).
        answer: The first that is not empty; a list holds several accepted answers.
        images: All of them, in this order.
        cluster: The first that is not empty; else the first image.
        slices: Name of the slice to column, or to columns of which the first not empty counts.
        slice_prefix: Every column that begins with it is a slice, too.
        extra: Key of `Item.extra` to column.
        sections: Of a report, in order, heading to column; they replace `answer`.
    """

    id: tuple[str, ...] = ()
    question: str | None = None
    answer: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    slices: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    slice_prefix: str | None = None
    extra: dict[str, str] = Field(default_factory=dict)
    sections: dict[str, str] = Field(default_factory=dict)


class Options(BaseModel, frozen=True, extra="forbid"):
    """How the options of an item are written.

    Attributes:
        column: A list, an object of letter to text, or a text that spells one of them.
        columns: One column an option, A, B, ... in order; empty ones do not exist.
        inline: They stand at the end of the question and are cut from it.
        answer: Whether the answer column holds the letter, the option's text, or either.
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    inline: bool = False
    answer: Literal["letter", "text", "either"] = "either"


class KindRule(BaseModel, frozen=True, extra="forbid"):
    """How an item's kind is found.

    Without a rule: a letter as answer to options is "choice", an option's text as answer is
    "closed", yes or no is "closed" with these options, anything else is "open".

    Attributes:
        fixed: All items are of this kind.
        column: Says it row by row; where it is empty or absent the rule above holds.
        values: Words of that column in lower case, to kinds.
    """

    fixed: Kind | None = None
    column: str | None = None
    values: dict[str, Kind] = Field(default_factory=dict)


class Number(BaseModel, frozen=True, extra="forbid"):
    """How near a number must come.

    Attributes:
        tolerance: Relative.
        by: Slice that decides instead. tolerances: Its values to relative tolerances.
    """

    tolerance: float = Field(default=0.2, ge=0)
    by: str | None = None
    tolerances: dict[str, float] = Field(default_factory=dict)


class Boxes(BaseModel, frozen=True, extra="forbid"):
    """How the four numbers of a box are written.

    Attributes:
        form: "corners" is left, top, right, bottom; "corner-size" is left, top, width, height, as
            in COCO.
        unit: Pixels, or shares 0..1 of the image's width and height.
    """

    form: Literal["corners", "corner-size"] = "corners"
    unit: Literal["pixels", "share"] = "pixels"


class Spec(BaseModel, frozen=True, extra="forbid"):
    """A benchmark.

    Attributes:
        name: As on the command line.
        title: As its authors write it.
        source: "rows" reads tables, "masks" a folder of images and masks, "phantoms" makes them.
        readings: Of "phantoms": reports and boxes in the place of questions.
        hub: Id of the data set on the hub; None if it is not there or may not be.
        home: Where else to get it, for messages.
        licence, citation: Of the data.
        notes: Pitfalls that a reader of results must know.
        splits: To globs. They are tried in turn and the first that matches counts; a list among
            them is a set of globs that must all match, its files being taken together.
        default_split: Used when none is asked for; "" for all rows.
        split_column: Holds the split of each row.
        hidden: Answers that stand for "not published".
        images, columns, options, kind, number, boxes: See there.
        where: Rows are kept if the column holds one of these values.
        present: Rows are kept if one of these columns is not empty.
        cut: Texts taken out of the question.
        until: The question ends before this text.
        answer_lists: An answer that spells a list, as "['8', 'eight']", holds several answers.
        image_tags: The question cites its images as "<image 1>"; only cited ones are shown.
        ask: The question of masks, of reports that have none, and of all items where no column
            holds it.
        prompt: Kind to what is added below the question; "{options}", "{unit}" and, of boxes,
            "{width}" and "{height}" are filled in.
        metric: Kind to the metric that decides.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    source: Literal["rows", "masks", "phantoms"] = "rows"
    readings: bool = False
    hub: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    home: str = ""
    licence: str
    citation: str
    notes: tuple[str, ...] = ()
    splits: dict[str, tuple[tuple[Pattern, ...], ...]] = Field(default_factory=dict)
    default_split: str = ""
    split_column: str | None = None
    hidden: tuple[str, ...] = ()
    images: Images = Images()
    columns: Columns = Columns()
    options: Options = Options()
    kind: KindRule = KindRule()
    number: Number = Number()
    boxes: Boxes = Boxes()
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    present: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    until: str | None = None
    answer_lists: bool = False
    image_tags: bool = False
    ask: str = ""
    prompt: dict[Kind, str] = Field(default_factory=dict)
    metric: dict[Kind, str] = Field(min_length=1)

    @field_validator("splits", mode="before")
    @classmethod
    def _alternatives(cls, splits: dict[str, list[str | list[str]]]) -> dict[str, list[list[str]]]:
        return {
            name: [[part] if isinstance(part, str) else part for part in patterns]
            for name, patterns in splits.items()
        }

    @model_validator(mode="after")
    def _complete(self) -> "Spec":
        if self.source != "rows":
            return self
        if not self.splits or not all(each and all(each) for each in self.splits.values()):
            raise ValueError("splits must name the files")
        if self.default_split and not self.split_column and self.default_split not in self.splits:
            raise ValueError(f"default_split '{self.default_split}' is not one of splits")
        if not self.columns.question and not self.ask:
            raise ValueError("either columns.question or ask is needed")
        if not self.columns.answer and not self.columns.sections:
            raise ValueError("either columns.answer or columns.sections is needed")
        return self
