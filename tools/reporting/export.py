"""Write a structured report in the formats that others read."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef
from overread.tools.artifacts import ArtifactStore
from overread.tools.reporting import markdown
from overread.tools.reporting.model import StructuredReport


@dataclass(frozen=True, slots=True)
class Exported:
    """One file: its name, which says DRAFT until a reader signed, and its bytes."""

    name: str
    data: bytes


def _markdown(report: StructuredReport, archive: Archive, store: ArtifactStore) -> list[Exported]:
    return [_file(report, "report", "md", markdown.render(report).encode())]


def _json(report: StructuredReport, archive: Archive, store: ArtifactStore) -> list[Exported]:
    return [_file(report, "report", "json", report.model_dump_json(indent=1).encode())]


def _pdf(report: StructuredReport, archive: Archive, store: ArtifactStore) -> list[Exported]:
    from overread.tools.reporting import pdf

    return [_file(report, "report", "pdf", pdf.render(report, store))]


def _fhir(report: StructuredReport, archive: Archive, store: ArtifactStore) -> list[Exported]:
    from overread.tools.reporting import fhir

    return [_file(report, "report", "fhir.json", fhir.render(report))]


def _dicom(kind: str) -> Callable[[StructuredReport, Archive, ArtifactStore], list[Exported]]:
    def write(report: StructuredReport, archive: Archive, store: ArtifactStore) -> list[Exported]:
        from overread.tools.reporting.dicom_source import source_image
        from overread.tools.reporting.masks import outlined
        from overread.tools.reporting.seg import segmentations
        from overread.tools.reporting.sr import structured_report

        masks = outlined(report, store)
        own = ImageRef.parse(report.image)
        refs = {item.image for item in masks} | ({own} if kind == "sr" or not masks else set())
        order = archive.series(own).refs
        sources = [source_image(archive, ref) for ref in sorted(refs, key=order.index)]
        segments = segmentations(report, masks, sources) if masks or kind == "seg" else []
        files = [
            _file(report, f"image-{number}", "dcm", _bytes(source.dataset), marked=False)
            for number, source in enumerate(sources, start=1)
        ]
        for number, one in enumerate(segments, start=1):
            stem = "segmentation" if len(segments) == 1 else f"segmentation-{number}"
            files.append(_file(report, stem, "dcm", _bytes(one)))
        if kind == "sr":
            document = structured_report(report, sources, masks, segments)
            files.append(_file(report, "report", "sr.dcm", _bytes(document)))
        return files

    return write


_WRITERS: dict[str, Callable[[StructuredReport, Archive, ArtifactStore], list[Exported]]] = {
    "md": _markdown,
    "json": _json,
    "pdf": _pdf,
    "fhir": _fhir,
    "sr": _dicom("sr"),
    "seg": _dicom("seg"),
}
FORMATS = tuple(_WRITERS)


def export(
    report: StructuredReport, formats: Sequence[str], archive: Archive, store: ArtifactStore
) -> list[Exported]:
    """Return the files of a report, each once.

    "sr" and "seg" bring the de-identified images that they refer to, as DICOM.

    Args:
        report: Draft or signed.
        formats: Of `FORMATS`.
        archive: Where the images are.
        store: Where masks and outlines are.

    Raises:
        InputError: A format is unknown, or there is nothing to write in it.
        UnknownReference: An image or a mask is no longer there.
    """
    files: dict[str, Exported] = {}
    for name in formats:
        if name not in _WRITERS:
            raise InputError(
                f"'{name:.20}' is no format of a report; there are {', '.join(FORMATS)}"
            )
        files |= {file.name: file for file in _WRITERS[name](report, archive, store)}
    return list(files.values())


def _file(
    report: StructuredReport, stem: str, suffix: str, data: bytes, marked: bool = True
) -> Exported:
    mark = "" if report.is_signed or not marked else "DRAFT-"
    return Exported(f"{mark}{stem}-{report.study_id}.{suffix}", data)


def _bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
