"""Writes the report of a study from its findings."""

from overread.imaging.phantoms import measures
from overread.imaging.phantoms.compare import change
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Finding, Report
from overread.imaging.phantoms.words import SETTINGS, TERMS, Term
from overread.imaging.vocabulary import DOMAINS

_NUMBERS = ("no", "a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def write_report(case: Case, now: Drawn, prior: Drawn | None) -> Report:
    """Return technique, comparison, findings and impression."""
    rng = case.moment("report")
    setting = SETTINGS[case.domain]
    present = {finding.name: finding for finding in now.findings}
    sentences: list[str] = []
    impressions: list[str] = []
    for name in DOMAINS[case.domain][1]:
        term = TERMS[(case.domain, name)]
        if name in present:
            template = str(rng.choice(term.present))
            sentences.append(_filled(template, present[name], term))
            impressions.append(_filled(term.impression, present[name], term))
    denied = [
        TERMS[(case.domain, name)].absent
        for name in DOMAINS[case.domain][1]
        if name not in present and (len(present) < 2 or rng.random() < 0.8)
    ]
    sentences += denied
    if not present:
        sentences = [*setting.normal, *denied]
        impressions = [setting.normal_impression]
    sentences += _measured(case, now)
    comparison = "None." if prior is None else _comparison(case, now, prior)
    return Report(now.technique, comparison, " ".join(sentences), " ".join(impressions))


def _filled(template: str, finding: Finding, term: Term) -> str:
    several = finding.count > 1
    number = _NUMBERS[finding.count] if finding.count < len(_NUMBERS) else str(finding.count)
    count = f"{number} {term.plural}" if several else term.phrase
    size = "" if finding.size_mm is None else f"{finding.size_mm:g}"
    words = {
        "side": finding.side or "",
        "location": finding.location,
        "severity": finding.severity,
        "count": count,
    }
    capitals = {key.capitalize(): value.capitalize() for key, value in words.items()}
    sentence = template.format(size=size, **words, **capitals)
    return (
        sentence.replace("There is", "There are") if several and "{count}" in template else sentence
    )


def _measured(case: Case, now: Drawn) -> list[str]:
    masks = now.masks
    if case.domain == "chest-xray":
        ratio = measures.width_ratio(masks["heart"], masks["thorax"])
        return [f"The cardiothoracic ratio is {ratio:.2f}."]
    if case.domain == "fundus":
        ratio = measures.height_ratio(masks["optic cup"], masks["optic disc"])
        return [f"The vertical cup-to-disc ratio is {ratio:.2f}."]
    if case.domain == "histology":
        return [f"{measures.count(masks['nuclei'])} nuclei are seen."]
    return []


def _comparison(case: Case, now: Drawn, prior: Drawn) -> str:
    sentences = ["Compared with the prior study."]
    for name in DOMAINS[case.domain][1]:
        noun = TERMS[(case.domain, name)].noun
        match change(name, now, prior):
            case "new":
                sentences.append(f"The {noun} is new.")
            case "resolved":
                sentences.append(f"The {noun} has resolved.")
            case "larger" | "smaller" | "unchanged" as how:
                sentences.append(f"The {noun} is {how}.")
            case None if name in now.masks:
                sentences.append(f"The {noun} is about the same.")
            case None:
                pass
    if len(sentences) == 1:
        sentences.append("No relevant change.")
    return " ".join(sentences)
