"""What people call a structure, and what the segmenter calls it."""

import difflib
import re
from collections.abc import Collection, Iterable

from overread.imaging.errors import InputError
from overread.imaging.vocabulary import TARGETS
from overread.tools.segmenter import Segmenter

# One name may stand for several targets whose masks are united ("lungs").
_UNIONS: dict[str, tuple[str, ...]] = {
    "lungs": ("left lung", "right lung"),
    "lung": ("left lung", "right lung"),
    "lung fields": ("left lung", "right lung"),
    "kidneys": ("left kidney", "right kidney"),
    "kidney": ("left kidney", "right kidney"),
}

_SYNONYMS: dict[str, str] = {
    "pleural effusion": "effusion",
    "effusions": "effusion",
    "pleural fluid": "effusion",
    "hydrothorax": "effusion",
    "ptx": "pneumothorax",
    "collapsed lung": "pneumothorax",
    "infiltrate": "consolidation",
    "opacity": "consolidation",
    "airspace opacity": "consolidation",
    "airspace disease": "consolidation",
    "pneumonia": "consolidation",
    "pulmonary nodule": "nodule",
    "lung nodule": "nodule",
    "coin lesion": "nodule",
    "cardiac silhouette": "heart",
    "heart shadow": "heart",
    "cardiac shadow": "heart",
    "rib cage": "thorax",
    "chest": "thorax",
    "thoracic cage": "thorax",
    "ventricle": "ventricles",
    "lateral ventricles": "ventricles",
    "brain lesion": "lesion",
    "brain tumour": "lesion",
    "tumour": "lesion",
    "body outline": "body",
    "hepar": "liver",
    "renal cyst": "cyst",
    "liver cyst": "cyst",
    "hepatic cyst": "cyst",
    "breast mass": "mass",
    "solid mass": "mass",
    "disc": "optic disc",
    "optic nerve head": "optic disc",
    "cup": "optic cup",
    "fundus": "retina",
    "haemorrhages": "haemorrhage",
    "retinal haemorrhage": "haemorrhage",
    "bleeding": "haemorrhage",
    "hard exudate": "exudate",
    "exudates": "exudate",
    "cell": "nuclei",
    "cells": "nuclei",
    "nucleus": "nuclei",
    "cell nuclei": "nuclei",
}

_SPELLING = (("hemorrhag", "haemorrhag"), ("tumor", "tumour"), ("optic disk", "optic disc"))


def resolve(name: str) -> tuple[str, ...]:
    """Return the targets that a name stands for; their masks are to be united.

    Raises:
        InputError: The name is outside the vocabulary; the message tells what is inside.

    >>> resolve("Pleural effusion"), resolve("the lungs")
    (('effusion',), ('left lung', 'right lung'))
    """
    plain = _plain(name)
    for candidate in (plain, plain.removesuffix("s")):
        if candidate in TARGETS:
            return (candidate,)
        if candidate in _UNIONS:
            return _UNIONS[candidate]
        if candidate in _SYNONYMS:
            return (_SYNONYMS[candidate],)
    close = difflib.get_close_matches(plain, [*TARGETS, *_SYNONYMS, *_UNIONS], n=1, cutoff=0.75)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise _unknown(name, hint, TARGETS)


def canonical(name: str, known: Collection[str], any_words: bool = False) -> str:
    """Return the one name of a target that a segmenter knows; unions keep their own.

    Args:
        name: As a person says it.
        known: The segmenter's names; with none at all, a name is a label and stays as it is.
        any_words: Whether the segmenter takes other words, too.

    Raises:
        InputError: Neither known nor a synonym of something known.

    >>> canonical("pleural effusion", ["effusion"]), canonical("lungs", [])
    ('effusion', 'lungs')
    >>> canonical("Stent", [], any_words=True)
    'stent'
    """
    if name in known:
        return name
    plain = _plain(name)
    own = {_plain(one): one for one in known}
    if plain in own:
        return own[plain]
    try:
        parts = resolve(name)
    except InputError:
        if any_words or not known:
            return plain
        if set(TARGETS) <= set(known):
            raise
        parts = ()
    if known and not any_words and not (parts and set(parts) <= set(known)):
        close = difflib.get_close_matches(plain, own, n=1, cutoff=0.75)
        raise _unknown(name, f"did you mean '{own[close[0]]}'? " if close else "", known)
    return parts[0] if len(parts) == 1 else name.casefold().strip()


def name_in(segmenter: Segmenter, name: str) -> str:
    """Return a target by the name that a segmenter takes, as `canonical`.

    Raises:
        InputError: The segmenter takes no such name.
    """
    return canonical(name, segmenter.targets, segmenter.any_words)


def _unknown(name: str, hint: str, known: Iterable[str]) -> InputError:
    return InputError(
        f"'{name:.60}' is not something this segmenter knows; {hint}it knows {', '.join(known)}"
    )


def _plain(name: str) -> str:
    text = re.sub(r"[\s_-]+", " ", name.casefold()).strip(" .?")
    text = re.sub(r"^(the|a|an|any) ", "", text)
    for american, ours in _SPELLING:
        text = text.replace(american, ours)
    return text
