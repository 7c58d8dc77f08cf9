"""Synthetic medical studies with exact truth, made from a seed.

    phantom = generate("chest-xray", patient=7)
    for phantom in sample("train", 1000, seed=0): ...
    write(phantom, folder); write_manifest(phantoms, folder)

`HELD_OUT` names one scanner per domain that only test patients meet.
"""

from overread.imaging.phantoms.export import labels_of, manifest_line, write, write_manifest
from overread.imaging.phantoms.generate import generate, sample
from overread.imaging.phantoms.scanners import HELD_OUT, SCANNERS
from overread.imaging.phantoms.seeds import split_of
from overread.imaging.phantoms.truth import Finding, Phantom, Question, Report
from overread.imaging.vocabulary import DOMAINS

__all__ = [
    "DOMAINS",
    "HELD_OUT",
    "SCANNERS",
    "Finding",
    "Phantom",
    "Question",
    "Report",
    "generate",
    "labels_of",
    "manifest_line",
    "sample",
    "split_of",
    "write",
    "write_manifest",
]
