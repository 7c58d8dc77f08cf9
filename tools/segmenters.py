"""Choose a segmenter by what lies in its folder. Knows the formats, no single model."""

from pathlib import Path

from overread.imaging.archive import Archive
from overread.imaging.errors import ConfigError
from overread.tools.segmenter import Segmenter

BUNDLED = "bundled"


def load_segmenter(spec: str, archive: Archive | None = None) -> Segmenter:
    """Load a segmenter: safetensors or plain tensors, no foreign code, no network.

    Args:
        spec: "bundled"; the folder of a MONAI bundle (`configs/metadata.json`); or that of a
            transformers checkpoint of the SAM family (`config.json`).
        archive: Where the series of images are; a bundle for volumes finds nothing without it.

    Raises:
        ConfigError: There is no such folder, no such model in it, or what reads it is not
            installed.
    """
    if spec == BUNDLED:
        from overread.tools.bundled_segmenter import bundled_segmenter

        return bundled_segmenter()
    folder = Path(spec).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"segmenter.model: there is no folder {folder}; give one, or 'bundled'")
    if (folder / "configs" / "metadata.json").is_file():
        from overread.tools.monai_bundle import read_bundle
        from overread.tools.monai_segmenter import MonaiSegmenter
        from overread.tools.monai_volume import MonaiVolumeSegmenter

        bundle = read_bundle(folder)
        if len(bundle.shape) == 3:
            return MonaiVolumeSegmenter(bundle, archive)
        return MonaiSegmenter(bundle)
    if (folder / "config.json").is_file():
        from overread.tools.sam_segmenter import SamSegmenter

        return SamSegmenter(folder)
    raise ConfigError(
        f"segmenter.model: {folder} has neither configs/metadata.json, as MONAI bundles have, nor "
        "config.json, as transformers checkpoints of the SAM family have"
    )
