"""A folder of images and masks, as MedSegBench and most segmentation sets come unpacked.

    place/[split/]images/case1.png
    place/[split/]masks/case1.png            one structure, or one grey value a structure
    place/[split/]masks/<structure>/case1.png   a folder a structure
    place/labels.json                        {"1": "liver", "2": "spleen"}: names of grey values

A folder of masks that images/ has, too (a patient's), is not a structure's. A mask may also be
called case1_mask.png or case1_segmentation.png; a structure that is absent has an empty mask.
"""

import json
from pathlib import Path

from PIL import Image

from overread.evals.benchmarks.schema import Spec
from overread.evals.items import Item
from overread.imaging.errors import InputError
from overread.imaging.limits import reading

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
ENDINGS = ("", "_mask", "_segmentation", "_seg")
UNNAMED = "structure"


def mask_items(root: Path, split: str, spec: Spec) -> tuple[list[Item], dict[str, str]]:
    """Return an item for each image and structure, and reasons by id for what cannot be one.

    An item's `extra` has "mask" (a path), "target", and "value": the grey value that counts, or
    None if every value but 0 does.

    Raises:
        InputError: A folder or `labels.json` is missing or wrong, or there are no images.
    """
    base = root / split if split else root
    if split and not base.is_dir():
        there = sorted(folder.parent.name for folder in root.glob("*/images"))
        raise InputError(f"{root} has no split '{split}'; it has {', '.join(there) or 'none'}")
    for folder in (base / "images", base / "masks"):
        if not folder.is_dir():
            raise InputError(f"{folder} is missing; images and masks lie in folders of these names")
    images = sorted(file for file in (base / "images").rglob("*") if file.suffix in SUFFIXES)
    if not images:
        raise InputError(f"{base / 'images'} holds no image ({', '.join(SUFFIXES)})")
    structures = sorted(
        folder
        for folder in (base / "masks").iterdir()
        if folder.is_dir() and not (base / "images" / folder.name).is_dir()
    )
    values = _values(root / "labels.json")
    wanted: list[tuple[str, Path, int | None]] = [
        (folder.name, folder, None) for folder in structures
    ] or [(name, base / "masks", value) for name, value in values]
    items, reasons = [], {}
    for image in images:
        stem = image.relative_to(base / "images").with_suffix("")
        for target, folder, value in wanted:
            name = f"{stem.as_posix()}/{target}"
            try:
                mask = _matching(image, folder, stem)
            except InputError as error:
                reasons[name] = str(error)
            else:
                items.append(
                    Item(
                        id=name,
                        question=spec.ask.replace("{target}", target),
                        images=(image,),
                        answers=(target,),
                        kind="mask",
                        cluster=stem.as_posix(),
                        slices={"target": target, "answer_type": "mask"},
                        extra={"mask": str(mask), "target": target, "value": value},
                    )
                )
    return items, reasons


def _values(file: Path) -> list[tuple[str, int | None]]:
    if not file.is_file():
        return [(UNNAMED, None)]
    try:
        return [(str(name), int(value)) for value, name in json.loads(file.read_text()).items()]
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f'{file} is wrong ({error}); write it as {{"1": "liver", "2": "spleen"}}'
        ) from error


def _matching(image: Path, folder: Path, stem: Path) -> Path:
    candidates = (folder / f"{stem}{end}{suffix}" for end in ENDINGS for suffix in SUFFIXES)
    mask = next((file for file in candidates if file.is_file()), None)
    if mask is None:
        raise InputError(f"{folder} holds no mask for {image.name}")
    if (shape := _size(mask)) != (other := _size(image)):
        raise InputError(f"{mask} has {shape} columns and rows, its image {other}")
    return mask


def _size(file: Path) -> tuple[int, int]:
    """Return columns and rows, by the file's header.

    Raises:
        UnreadableImage: It is no image.
    """
    with reading(file, "image"), Image.open(file, formats=["PNG", "TIFF", "JPEG"]) as picture:
        return picture.size
