"""Wordings of requests in the traces. Data, and the two helpers that fill it in."""

from collections.abc import Sequence

import numpy as np

from overread.agent import feedback
from overread.agent.verifier import Problem
from overread.imaging.phantoms.words import TERMS

DESCRIBE = "Describe this image in one or two sentences. Do not give measurements."
REPORT = (
    "Write a report of this image.",
    "Please draft a report.",
    "Generate a structured report for this study.",
    "Report this study.",
    "Can you write up the findings as a report?",
    "Draft a radiology report with findings and impression.",
)
OUTLINE = (
    "Outline {the}.",
    "Segment {the}.",
    "Show me {the}.",
    "Mark {the} on the image.",
    "Highlight {the} and give its area.",
    "Can you delineate {the}?",
)
SIMILAR = (
    "Show me similar cases.",
    "Find cases that look like this one.",
    "Are there similar cases in the index?",
    "Which earlier cases resemble this image?",
    "Retrieve comparable studies.",
)
UNANSWERABLE = (
    "What is the patient's blood pressure?",
    "Which medication does the patient take?",
    "What is the patient's name?",
    "Does the patient smoke?",
    "When was the patient born?",
    "What was the result of the blood test?",
    "Is the patient allergic to penicillin?",
    "What is the heart rate?",
)


def pick(templates: Sequence[str], rng: np.random.Generator) -> str:
    """Return one of the wordings."""
    return templates[int(rng.integers(len(templates)))]


def noun(domain: str, target: str) -> str:
    """Return the usual word for a target."""
    term = TERMS.get((domain, target))
    return term.noun if term else target


def missing_citation(sentence: str, missing: str) -> str:
    """Return the verifier's objection to a citation of evidence that does not exist."""
    return feedback.complaint([Problem(sentence, f"cites {missing}, which does not exist")])
