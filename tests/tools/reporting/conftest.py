"""Studies read from real DICOM and PNG files, with the masks of phantoms as evidence."""

import io
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as PILImage
from pydicom.dataset import Dataset

from overread.imaging.archive import Archive
from overread.imaging.phantoms import Phantom, write
from overread.imaging.phantoms.export import to_dicom
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import ImageRef, Mask
from overread.tools import phrases
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence
from overread.tools.pictures import store_mask, store_overlay
from overread.tools.reporting.compose import compose
from overread.tools.reporting.export import Exported, export
from overread.tools.reporting.model import StructuredReport
from overread.tools.segment import describe

Read = Callable[[Path], list[ImageRef]]
Outline = Callable[[ImageRef, str, Mask], Evidence]

OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
"""Row and column of a plane tilted about two axes; unit vectors at a right angle."""


@pytest.fixture
def read(archive: Archive, tmp_path: Path) -> Read:
    """Read a file or a folder into the archive."""
    pseudonymiser = Pseudonymiser(tmp_path / "secret")
    return lambda path: archive.add(read_studies([path], pseudonymiser))


@pytest.fixture
def evidence_of(archive: Archive, store: ArtifactStore) -> Callable[..., tuple[Evidence, ...]]:
    """Return evidence as intake and the tool `segment` give it, for true masks."""

    def make(*found: tuple[ImageRef, str, Mask]) -> tuple[Evidence, ...]:
        entries: list[Evidence] = []
        for ref in dict.fromkeys(ref for ref, _, _ in found):
            image = archive.load(ref)
            said = phrases.intake(1, image.modality, image.body_part, image.shape, image.spacing_mm)
            entries.append(_entry(len(entries), "intake", said, ref, {"modality": image.modality}))
        for ref, target, mask in found:
            image = archive.load(ref)
            values: dict = {"found": bool(mask.any()), "target": target}
            artifacts: tuple = ()
            if mask.any():
                values = describe(image, target, mask, None, None)
                artifacts = (
                    store_overlay(store, image, {target: mask}),
                    store_mask(store, mask, target),
                )
            said = phrases.segmented(1, target, values, 0.9)
            entry = _entry(len(entries), "segment", said, ref, values)
            entries.append(entry.model_copy(update={"artifacts": artifacts, "confidence": 0.9}))
        return tuple(entries)

    return make


def _entry(before: int, tool: str, content: str, ref: ImageRef, values: dict) -> Evidence:
    return Evidence(
        id=f"E{before + 1}",
        tool=tool,
        arguments={"image": 1},
        content=content,
        version=f"{tool} 1",
        image=str(ref),
        values=values,
    )


@pytest.fixture
def make_report(
    read: Read, evidence_of: Callable[..., tuple[Evidence, ...]], archive: Archive, tmp_path: Path
) -> Callable[..., StructuredReport]:
    """Return a draft on a phantom's file, with some of its masks outlined."""

    def make(phantom: Phantom, targets: Sequence[str]) -> StructuredReport:
        (ref,) = read(write(phantom, tmp_path / "files"))
        nothing = np.zeros(phantom.pixels.shape[:2], bool)
        found = [(ref, target, phantom.masks.get(target, nothing)) for target in targets]
        return compose(evidence_of(*found), ref, [ref], archive)

    return make


def write_stack(phantom: Phantom, folder: Path, slices: int, gap_mm: float = 2.5) -> list[Path]:
    """Write an oblique CT series of shifted copies of a phantom; files in random order of name."""
    folder.mkdir(parents=True)
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    across = np.cross(row, column)
    paths = []
    for number in range(slices):
        data = to_dicom(phantom)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        data.InstanceNumber = number + 1
        data.ImageOrientationPatient = [f"{value:g}" for value in OBLIQUE]
        corner = np.array([-31.5, 12.25, 7.0]) + number * gap_mm * across
        data.ImagePositionPatient = [f"{value:.6g}" for value in corner]
        data.SliceThickness = "2"
        pixels = np.roll(np.asarray(phantom.pixels) + 1024, 5 * number, axis=0)
        data.PixelData = np.rint(pixels).astype("<u2").tobytes()
        paths.append(folder / f"{(7 * number) % 11:02d}.dcm")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_png(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    PILImage.fromarray(pixels).save(folder / "photo.png")
    return folder / "photo.png"


def datasets(report, kind, archive, store) -> dict[str, Dataset]:
    """Return the exported objects: "SR", "SEG" ("SEG 2", ...), and images as "image 1", ..."""
    found = {}
    for file in export(report, [kind], archive, store):
        data = pydicom.dcmread(io.BytesIO(file.data))
        number = int(data.InstanceNumber)
        kinds = {"SR": "SR", "SEG": "SEG" if number == 1 else f"SEG {number}"}
        found[kinds.get(data.Modality, f"image {number}")] = data
    return found


def in_frame(data: Dataset, number: int) -> Dataset:
    """Return the attributes of a frame, those that all frames share among them."""
    shared = data.SharedFunctionalGroupsSequence[0]
    own = data.PerFrameFunctionalGroupsSequence[number]
    return Dataset({**dict(shared.items()), **dict(own.items())})


def masks_of(seg: Dataset) -> dict[tuple[str, str], np.ndarray]:
    """Return the masks by label and by the instance they lie on, without help of highdicom."""
    labels = {item.SegmentNumber: item.SegmentLabel for item in seg.SegmentSequence}
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    found = {}
    for number, frame in enumerate(frames):
        groups = in_frame(seg, number)
        label = labels[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        found[label, source.ReferencedSOPInstanceUID] = frame.astype(bool)
    return found


def errors(files: Sequence[Exported], folder: Path) -> list[str]:
    """Return what the standard's own validator calls an error in exported DICOM files."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; install Debian's dicom3tools to run this test")
    found = []
    for file in files:
        (folder / file.name).write_bytes(file.data)
        done = subprocess.run(
            ["dciodvfy", str(folder / file.name)], capture_output=True, check=False
        )
        told = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        found += [f"{file.name}: {line}" for line in told if line.startswith("Error")]
    return found


@dataclass(frozen=True)
class Number:
    """A measurement in an SR, and the group that holds it; the error is None where none is told."""

    value: float
    unit: str
    error: float | None
    group: Dataset


def numbers(sr: Dataset) -> dict[tuple[str, str], Number]:
    """Return the measurements by code and scheme; what the image library says is not among them."""
    found = {}
    container = next(i for i in sr.ContentSequence if _code(i) == ("126010", "DCM"))
    for group in container.ContentSequence:
        for item in group.ContentSequence:
            if item.ValueType != "NUM":
                continue
            spread = {
                _measured(child)
                for child in item.get("ContentSequence", ())
                if _code(child) in (("371886008", "SCT"), ("371885007", "SCT"))
            }
            value, unit = _measured(item)
            assert len(spread) <= 1 and all(error[1] == unit for error in spread)
            error = next(iter(spread))[0] if spread else None
            found[_code(item)] = Number(value, unit, error, group)
    return found


def _code(item: Dataset) -> tuple[str, str]:
    code = item.ConceptNameCodeSequence[0]
    return code.CodeValue, code.CodingSchemeDesignator


def _measured(item: Dataset) -> tuple[float, str]:
    value = item.MeasuredValueSequence[0]
    return float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue
