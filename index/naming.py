"""Names a study as the row of a manifest does, with pseudonyms."""

from dataclasses import replace

from overread.imaging.deidentify import MAX_AGE
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Image, ImageRef, Series, Study
from overread.index.manifest import PHANTOM, ManifestRow


def renamed(study: Study, row: ManifestRow, pseudonymiser: Pseudonymiser, place: int) -> Study:
    """Give a study the patient, study, modality and body part that its row states.

    Args:
        study: As read from the row's file.
        row: It.
        pseudonymiser: Replaces the row's ids, but for those of phantoms.
        place: Of the row among those of its study, from 0; names the series.
    """
    invented = row.source == PHANTOM
    study_id, patient_id = study.id, study.patient_id
    if row.patient_id:
        # As in DICOM without an issuer, so that a patient is the same from either source.
        identity = f"\0{row.patient_id}"
        patient_id = row.patient_id if invented else pseudonymiser.patient(identity)
    if row.study_id:
        study_id = row.study_id if invented else pseudonymiser.study(row.study_id)

    def series(number: int, old: Series) -> Series:
        name = old.id
        if row.study_id:
            name = f"s{place}.{number}" if number else f"s{place}"
        modality = row.modality.upper() or old.modality
        images = tuple(image(one, name, modality) for one in old.images)
        return replace(old, id=name, modality=modality, images=images)

    def image(old: Image, name: str, modality: str) -> Image:
        ref = ImageRef(study_id, name, old.ref.instance, old.ref.frame)
        body_part = row.body_part.lower() or old.body_part
        return replace(old, ref=ref, modality=modality, body_part=body_part)

    return replace(
        study,
        id=study_id,
        patient_id=patient_id,
        series=tuple(series(number, old) for number, old in enumerate(study.series)),
        age=study.age if row.age is None else min(row.age, float(MAX_AGE)),
        sex=row.sex or study.sex,
    )
