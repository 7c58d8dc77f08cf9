"""What words ask of the phantoms: a kind of image and findings. What is not understood is refused."""

import re
from dataclasses import dataclass

from overread.imaging.errors import InputError
from overread.imaging.phantoms.words import TERMS
from overread.imaging.vocabulary import DOMAINS

_KINDS = {
    "chest-xray": "xray xrays radiograph radiographs radiography cr dx "
    "chest thorax thoracic lung lungs pulmonary",
    "brain-mr": "mr mri mris magnetic resonance brain cerebral head",
    "chest-ct": "ct cts computed tomography chest thorax thoracic lung lungs pulmonary",
    "abdomen-ct": "ct cts computed tomography abdomen abdominal",
    "fundus": "fundus fundi retina retinal eye eyes",
    "ultrasound": "ultrasound ultrasounds sonogram sonograms sonography us",
    "histology": "histology histopathology tissue nuclei",
}
"""Words of modality and of body part, by domain; a word of several leaves it to the others."""

_FILLERS = """
    a adult adults an and artificial create draw example examples fake for from generate image images
    in made make me of patient patients photo photograph photographs photos picture pictures please
    scan scans section sections show showing shows slice slices some studies study synthetic that the
    with
"""
_NORMAL = frozenset({"healthy", "normal", "unremarkable"})
_NEGATIONS = """
    absence absent denied denies except excluded excludes excluding free lack lacking lacks minus
    negative neither never no non none nor not w/o without
"""
_IGNORED, _DENYING = frozenset(_FILLERS.split()), frozenset(_NEGATIONS.split())
_SPELLINGS = (
    (r"\bx[\s-]?ray", "xray"),
    (r"\bcxr\b", "chest xray"),
    (r"\bhemorrhag", "haemorrhag"),
)
_TOKEN = re.compile(r"w/o\b|[^\W_]+(?:['\u2019]t\b)?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A phantom to make.

    Attributes:
        domain: Kind of image, of the vocabulary.
        findings: All that it shows, sorted; none for a normal one.
    """

    domain: str
    findings: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in words: "chest xray with effusion and nodule", "normal fundus"."""
        kind = self.domain.replace("-", " ")
        return f"{kind} with {' and '.join(self.findings)}" if self.findings else f"normal {kind}"


def understood(words: str) -> Wanted:
    """Return what words ask for.

    Every word has to be known, and all of them have to fit one kind of image.

    Raises:
        InputError: They do not, they say what is not there, or they fit several kinds.

    >>> str(understood("Chest X-ray with a pleural effusion"))
    'chest xray with effusion'
    """
    forms = _forms(words)
    kinds, findings = set(DOMAINS), set[str]()
    for form in forms:
        if form in _FINDINGS:
            findings.add(_FINDINGS[form][0])
        if form in _FINDINGS or form in _DOMAINS_OF:
            kinds &= _FINDINGS[form][1] if form in _FINDINGS else _DOMAINS_OF[form]
    if not kinds:
        telling = ", ".join(form for form in forms if form in _FINDINGS or form in _DOMAINS_OF)
        raise InputError(f"the phantoms make nothing that is all of {telling}; they make {_MADE}")
    if len(kinds) == len(DOMAINS):
        raise InputError(f"'{words:.60}' names no kind of image; the phantoms make {_MADE}")
    if len(kinds) > 1:
        choice = " or ".join(kind.replace("-", " ") for kind in DOMAINS if kind in kinds)
        raise InputError(f"'{words:.60}' may be {choice}; say which")
    if findings and not _NORMAL.isdisjoint(forms):
        raise InputError(f"a picture with {' and '.join(sorted(findings))} is not normal")
    return Wanted(kinds.pop(), tuple(sorted(findings)))


def _forms(words: str) -> list[str]:
    """Return the words of a text that are known, those of a finding together.

    Raises:
        InputError: One is not known, or says that something is not there.
    """
    said = words.casefold()
    for other, ours in _SPELLINGS:
        said = re.sub(other, ours, said)
    tokens = _TOKEN.findall(said)
    if any(token in _DENYING or token.endswith(("n't", "n\u2019t")) for token in tokens):
        raise InputError("say what the picture shows; what is not named is not there")
    forms = []
    while tokens:
        length = 2 if " ".join(tokens[:2]) in _FINDINGS else 1
        form = " ".join(tokens[:length])
        if not (form in _FINDINGS or form in _DOMAINS_OF or form in _IGNORED or form in _NORMAL):
            raise InputError(f"the phantoms do not know '{form:.40}'; they make {_MADE}")
        forms.append(form)
        tokens = tokens[length:]
    return forms


def _domains_of() -> dict[str, set[str]]:
    """Return the domains that each word of `_KINDS` may mean."""
    found: dict[str, set[str]] = {}
    for domain, words in _KINDS.items():
        for word in words.split():
            found.setdefault(word, set()).add(domain)
    return found


def _findings() -> dict[str, tuple[str, set[str]]]:
    """Return the finding that each of its forms means, and the domains that know this form."""
    found: dict[str, tuple[str, set[str]]] = {}
    for (domain, name), term in TERMS.items():
        plain = name + ("es" if name.endswith(("s", "x")) else "s")
        for form in {name, plain, term.noun, term.plural}:
            found.setdefault(form, (name, set()))[1].add(domain)
    return found


_DOMAINS_OF, _FINDINGS = _domains_of(), _findings()
_MADE = ", ".join(
    domain.replace("-", " ") + (f" (normal or with {', '.join(names)})" if names else "")
    for domain, (_, names) in DOMAINS.items()
)
