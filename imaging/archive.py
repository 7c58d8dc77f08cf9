"""The de-identified local store that image references point to."""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.files import open_whole, write_whole
from overread.imaging.study import Image, ImageRef, Pixels, Plane, Series, Study

CACHE_BYTES = 256 * 1024**2
"""Decoded pixels kept in memory."""

_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, eq=False)
class StudyRecord:
    """What the archive knows of a study without opening its pixels.

    Attributes:
        id, patient_id, description, age, sex, header: As in `Study`.
        modality, body_part: Of the first image.
        refs: All images, series by series.
    """

    id: str
    patient_id: str
    modality: str
    body_part: str | None
    description: str
    age: float | None
    sex: str | None
    refs: tuple[ImageRef, ...]
    header: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRecord:
    """What the archive knows of a series without opening its pixels; fields as in `Series`."""

    id: str
    modality: str
    slice_spacing_mm: float | None
    affine: NDArray[np.float64] | None
    refs: tuple[ImageRef, ...]


class Archive:
    """Studies as JSON, pixels as `.npy` named by their SHA-256.

    Writers take a lock and replace whole files, so a reader never sees half a study.

    Args:
        root: Made when absent, readable by the owner alone.
    """

    def __init__(self, root: Path) -> None:
        """Open or make the archive."""
        self._studies, self._pixels = root / "studies", root / "pixels"
        for folder in (root, self._studies, self._pixels):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(root / ".lock")
        self._cache: OrderedDict[str, Pixels] = OrderedDict()
        self._cache_lock = Lock()

    def add(self, studies: Iterable[Study]) -> list[ImageRef]:
        """Store studies and return the references of their images, in order.

        Adding the same again changes nothing but what was damaged; images new to a stored study
        join it.
        """
        refs: list[ImageRef] = []
        for study in studies:
            with self._lock:  # around the pixels, too: `remove` takes those that no study names
                hashes = {image.ref: self._store(image.pixels) for image in study.images}
                record = _merge(self._intact(study.id), _to_json(study, hashes))
                write_whole(self._path(study.id), json.dumps(record, indent=1))
            refs.extend(image.ref for image in study.images)
        return refs

    def load(self, ref: ImageRef) -> Image:
        """Return an image with its pixels (read-only).

        Raises:
            UnknownReference: No such image.
            InputError: The stored pixels are damaged.
        """
        for series in self._read(ref.study_id)["series"]:
            for item in series["images"] if series["id"] == ref.series else []:
                if item["ref"] == str(ref):
                    return self._image(item)
        raise UnknownReference(f"'{ref}' is not in the archive; add its study first.")

    def load_study(self, study_id: str) -> Study:
        """Return a whole study with its pixels, e.g. to build a volume.

        Raises:
            UnknownReference: No such study.
            InputError: The stored pixels are damaged.
        """
        record = self._read(study_id)
        series = tuple(
            Series(
                id=item["id"],
                modality=item["modality"],
                images=tuple(self._image(image) for image in item["images"]),
                description=item["description"],
                slice_spacing_mm=item["slice_spacing_mm"],
                affine=None if item["affine"] is None else np.array(item["affine"], np.float64),
            )
            for item in record["series"]
        )
        return Study(
            id=record["id"],
            patient_id=record["patient_id"],
            series=series,
            description=record["description"],
            age=record["age"],
            sex=record["sex"],
            header=record["header"],
        )

    def study(self, study_id: str) -> StudyRecord:
        """Return what is known of a study.

        Raises:
            UnknownReference: No such study.
        """
        record = self._read(study_id)
        images = [image for series in record["series"] for image in series["images"]]
        return StudyRecord(
            id=record["id"],
            patient_id=record["patient_id"],
            modality=images[0]["modality"],
            body_part=images[0]["body_part"],
            description=record["description"],
            age=record["age"],
            sex=record["sex"],
            refs=tuple(ImageRef.parse(image["ref"]) for image in images),
            header=record["header"],
        )

    def series(self, ref: ImageRef) -> SeriesRecord:
        """Return what is known of the series that an image belongs to.

        Raises:
            UnknownReference: No such image.
        """
        for item in self._read(ref.study_id)["series"]:
            refs = tuple(ImageRef.parse(image["ref"]) for image in item["images"])
            if item["id"] == ref.series and ref in refs:
                affine = item["affine"]
                return SeriesRecord(
                    id=item["id"],
                    modality=item["modality"],
                    slice_spacing_mm=item["slice_spacing_mm"],
                    affine=None if affine is None else np.array(affine, np.float64),
                    refs=refs,
                )
        raise UnknownReference(f"'{ref}' is not in the archive; add its study first.")

    def studies(self) -> list[StudyRecord]:
        """Return all studies, by id."""
        return [self.study(path.stem) for path in sorted(self._studies.glob("*.json"))]

    def remove(self, refs: Iterable[ImageRef]) -> None:
        """Delete images; a study without any left goes, too. Unknown ones are gone already.

        Pixels that another image shares stay.
        """
        gone: set[str] = set()
        by_study: dict[str, set[str]] = {}
        for ref in refs:
            by_study.setdefault(ref.study_id, set()).add(str(ref))
        with self._lock:
            for study_id, named in by_study.items():
                record = self._intact(study_id)
                if record is None:
                    continue
                gone |= _hashes(record)
                for series in record["series"]:
                    kept = [image for image in series["images"] if image["ref"] not in named]
                    series["images"] = kept
                record["series"] = [series for series in record["series"] if series["images"]]
                if record["series"]:
                    write_whole(self._path(study_id), json.dumps(record, indent=1))
                else:
                    self._path(study_id).unlink()
            for path in self._studies.glob("*.json"):
                gone -= _hashes(self._intact(path.stem))
            for name in gone:
                (self._pixels / f"{name}.npy").unlink(missing_ok=True)
                with self._cache_lock:
                    self._cache.pop(name, None)

    def _path(self, study_id: str) -> Path:
        if not _SAFE_ID.fullmatch(study_id):
            raise UnknownReference(f"'{study_id}' is not a study id.")
        return self._studies / f"{study_id}.json"

    def _intact(self, study_id: str) -> dict[str, Any] | None:
        """Return the stored record, None when absent or damaged: then it is written anew."""
        try:
            return self._read(study_id)
        except InputError:
            return None

    def _read(self, study_id: str) -> dict[str, Any]:
        try:
            return json.loads(self._path(study_id).read_bytes())
        except FileNotFoundError:
            raise UnknownReference(f"There is no study '{study_id}' in the archive.") from None
        except ValueError:
            raise InputError(
                f"The archive's record of {study_id} is damaged; add the study again."
            ) from None

    def _image(self, item: dict[str, Any]) -> Image:
        return Image(
            ref=ImageRef.parse(item["ref"]),
            pixels=self._load(item["pixels"]),
            modality=item["modality"],
            spacing_mm=_pair(item["spacing_mm"]),
            window=_pair(item["window"]),
            inverted=item["inverted"],
            body_part=item["body_part"],
            view=item["view"],
            plane=_plane(item.get("plane")),  # records of earlier versions have none
        )

    def _store(self, pixels: Pixels) -> str:
        pixels = cast(Pixels, np.ascontiguousarray(pixels))
        name = _hash(pixels)
        path = self._pixels / f"{name}.npy"
        if not path.exists() or _hash(_load_array(path)) != name:
            with open_whole(path) as file:
                np.save(file, pixels, allow_pickle=False)
        return name

    def _load(self, name: str) -> Pixels:
        with self._cache_lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
        pixels = _load_array(self._pixels / f"{name}.npy")
        if pixels is None or _hash(pixels) != name:
            raise InputError("Pixels in the archive are missing or damaged; add the study again.")
        pixels.setflags(write=False)
        with self._cache_lock:
            self._cache[name] = pixels
            while (
                len(self._cache) > 1 and sum(p.nbytes for p in self._cache.values()) > CACHE_BYTES
            ):
                self._cache.popitem(last=False)
        return pixels


def _load_array(path: Path) -> Pixels | None:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def _hash(pixels: Pixels | None) -> str:
    if pixels is None:
        return ""
    digest = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    digest.update(pixels.data)
    return digest.hexdigest()


def _hashes(record: dict[str, Any] | None) -> set[str]:
    series = [] if record is None else record["series"]
    return {image["pixels"] for item in series for image in item["images"]}


def _pair(values: list[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def _plane(stored: dict[str, Any] | None) -> Plane | None:
    if stored is None:
        return None
    position, row, column = (
        (float(x), float(y), float(z))
        for x, y, z in (stored[key] for key in ("position", "row", "column"))
    )
    return Plane(position, row, column, stored["frame"])


def _to_json(study: Study, hashes: dict[ImageRef, str]) -> dict[str, Any]:
    return {
        "id": study.id,
        "patient_id": study.patient_id,
        "description": study.description,
        "age": study.age,
        "sex": study.sex,
        "header": study.header,
        "series": [
            {
                "id": series.id,
                "modality": series.modality,
                "description": series.description,
                "slice_spacing_mm": series.slice_spacing_mm,
                "affine": None if series.affine is None else series.affine.tolist(),
                "images": [
                    {
                        "ref": str(image.ref),
                        "pixels": hashes[image.ref],
                        "modality": image.modality,
                        "spacing_mm": image.spacing_mm,
                        "window": image.window,
                        "inverted": image.inverted,
                        "body_part": image.body_part,
                        "view": image.view,
                        "plane": None if image.plane is None else asdict(image.plane),
                    }
                    for image in series.images
                ],
            }
            for series in study.series
        ],
    }


def _merge(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Add to the stored study the series and images that it lacks."""
    if old is None:
        return new
    by_id = {series["id"]: series for series in old["series"]}
    for series in new["series"]:
        if series["id"] in by_id:
            _merge_series(by_id[series["id"]], series)
        else:
            old["series"].append(series)
    return old


def _merge_series(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Take the longer of two orders; two halves are joined with their slice spacing unknown."""
    before = {image["ref"] for image in old["images"]}
    after = {image["ref"] for image in new["images"]}
    if before <= after:
        old.update(new)
    elif not after <= before:
        old["images"].extend(image for image in new["images"] if image["ref"] not in before)
        old["slice_spacing_mm"] = None
