"""The demo's cases: phantoms, and the real images that come inside installed packages."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overread.imaging.archive import Archive
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import sample, write_manifest
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.ingest import IngestSummary, Progress, build_index
from overread.index.store import CaseIndex

PHANTOMS, SEED = 280, 2026

_PYDICOM = {"source": "pydicom-data", "licence": "MIT; test files as described by pydicom"}
_SKIMAGE = {"source": "scikit-image"}
_PNEUMONIA = {"source": "pneumonia-model-package", "licence": "none stated; never copied"}

# package, file in it, what is known of it. DICOM files speak for themselves.
_FILES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("data_store", "data/RG1_UNCR.dcm", _PYDICOM),
    ("data_store", "data/RG3_UNCR.dcm", _PYDICOM),
    ("data_store", "data/693_UNCR.dcm", _PYDICOM | {"body_part": "head"}),
    ("data_store", "data/explicit_VR-UN.dcm", _PYDICOM | {"body_part": "abdomen"}),
    ("data_store", "data/MR2_UNCR.dcm", _PYDICOM),
    ("data_store", "data/MR-SIEMENS-DICOM-WithOverlays.dcm", _PYDICOM),
    ("data_store", "data/JPEG-LL.dcm", _PYDICOM | {"body_part": "whole body"}),
    ("data_store", "data/gdcm-US-ALOKA-16.dcm", _PYDICOM),
    ("data_store", "data/color3d_jpeg_baseline.dcm", _PYDICOM | {"body_part": "heart"}),
    ("pydicom", "data/test_files/J2K_pixelrep_mismatch.dcm", _PYDICOM | {"source": "pydicom"}),
    (
        "skimage",
        "data/retina.jpg",
        _SKIMAGE
        | {"modality": "OP", "body_part": "retina", "labels": ["normal"], "licence": "CC0-1.0"}
        | {"report": "Fundus photograph of a normal left eye."},
    ),
    (
        "skimage",
        "data/microaneurysms.png",
        _SKIMAGE
        | {"modality": "OP", "body_part": "retina", "labels": ["microaneurysm"]}
        | {"report": "Detail of a retina with microaneurysms.", "licence": "CC0-1.0"},
    ),
    (
        "skimage",
        "data/ihc.png",
        _SKIMAGE
        | {"modality": "SM", "body_part": "colon", "licence": "no known copyright restrictions"}
        | {"report": "Immunohistochemical staining of colonic glands."},
    ),
)
_CHESTS = ("pneumonia_model_package", "datasets/pneumonia-data/val")


def build_demo_index(
    folder: Path,
    index: CaseIndex,
    archive: Archive,
    pseudonymiser: Pseudonymiser,
    progress: Progress | None = None,
) -> IngestSummary:
    """Prepare the demo's cases in a folder and index them; done once, it returns at once.

    Args:
        folder: For the phantoms, the manifest and the note of what was indexed.
        index: Added to.
        archive: Where the pixels go.
        pseudonymiser: Replaces identities.
        progress: Called with the number of files done and their total.

    Raises:
        InputError: The folder cannot be written.
    """
    manifest, note = demo_manifest(folder), folder / "indexed.json"
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    done = {"manifest": digest, "embedder": index.embedder.name, "place": str(index.place)}
    before = _read(note)
    if all(before.get(key) == value for key, value in done.items()):
        images = int(before["images"])
        if index.stats().images >= images:
            return IngestSummary(int(before["studies"]), images, 0, images, 0, ())
    summary = build_index(manifest, index, archive, pseudonymiser, progress)
    noted = done | {"studies": summary.studies, "images": summary.images}
    write_whole(note, json.dumps(noted), mode=ORDINARY)
    return summary


def demo_manifest(folder: Path) -> Path:
    """Write the phantoms where they are missing, and the manifest of all the demo's cases.

    Raises:
        InputError: The folder cannot be written.
    """
    synthetic = folder / "phantoms" / "manifest.jsonl"
    if not _is_complete(synthetic):
        write_manifest(sample("train", PHANTOMS, SEED), synthetic.parent)
    rows = [json.loads(line) for line in synthetic.read_text(encoding="utf-8").splitlines()]
    rows = [row | {"path": f"phantoms/{row['path']}"} for row in rows]
    manifest = folder / "manifest.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in [*rows, *real_rows()])
    if not manifest.is_file() or manifest.read_text(encoding="utf-8") != text:
        write_whole(manifest, text, mode=ORDINARY)
    return manifest


def real_rows() -> Iterator[dict[str, Any]]:
    """Yield a manifest row for every real image that an installed package holds."""
    for package, name, facts in _FILES:
        path = _package(package) / name
        if path.is_file():
            yield {"path": str(path), **facts}
    chests = _package(_CHESTS[0]) / _CHESTS[1]
    for path in sorted(chests.glob("*.jpeg")):
        person = path.stem.split("_")[0]
        facts = {"modality": "CR", "body_part": "chest", "patient_id": f"pneumonia-{person}"}
        label = "pneumonia" if "bacteria" in path.name else "normal"
        yield {"path": str(path), **facts, "labels": [label], **_PNEUMONIA}


def _package(name: str) -> Path:
    """Return the folder of an installed package; a path that does not exist when it is absent."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path("absent") / name


def _is_complete(manifest: Path) -> bool:
    if not manifest.is_file():
        return False
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return len(rows) == PHANTOMS and all((manifest.parent / row["path"]).is_file() for row in rows)


def _read(note: Path) -> dict[str, Any]:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
