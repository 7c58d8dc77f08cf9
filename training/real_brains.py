"""Real T1 brain volumes with real masks from installed packages, for the head that follows clicks.

    apt-get install mricron-data             # Colin27, one person; AAL's regions, drawn on it. BSD-3
    pip install --no-deps nilearn==0.14.1    # ICBM152, the mean of 152 people; tissue maps. BSD-3

Sources: Holmes et al., J Comput Assist Tomogr 22:324 (1998); Tzourio-Mazoyer et al., NeuroImage
15:273 (2002); Fonov et al., NeuroImage 54:313 (2011). None of these people is in a benchmark.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.errors import ConfigError
from overread.imaging.files import file_hash

MRICRON = Path("/usr/share/mricron/templates")
_ICBM = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_HASHES = {
    "ch2.nii.gz": "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309",
    "ch2bet.nii.gz": "592a2d20abdf36eefcb540ca8958428040edffc1bc1a18ba1dcfbabac77c5dd1",
    "aal.nii.gz": "b512dcd3f36b77f56be7a9a038134096e66314b7e8c31d25875b96bcf6991454",
    _ICBM.format("t1"): "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    _ICBM.format("gm"): "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
    _ICBM.format("wm"): "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
}
# Regions of AAL whose border can be seen; the parcels of the cortex end where nothing is to be seen.
_SEEN = {
    "hippocampus": (37, 38), "caudate nucleus": (71, 72), "putamen": (73, 74), "thalamus": (77, 78),
    "cerebellum": tuple(range(91, 117)),
}  # fmt: skip
_HALF = 127
"""Of the tissue maps' 255: more of a voxel than not."""
_DEEP_MM = 18.0
"""Fluid so far from the brain's surface is of the ventricles."""


@dataclass(frozen=True, slots=True)
class Brain:
    """A volume of 1 mm voxels; its axes point to the right, the front and the top.

    Attributes:
        name: Of the person or template.
        values: float32 (x, y, z), 0..1.
        brain: bool (x, y, z).
        structures: bool (x, y, z) each; others than the brain, by name.
    """

    name: str
    values: NDArray[np.float32]
    brain: NDArray[np.bool_]
    structures: dict[str, NDArray[np.bool_]]


def real_brains() -> list[Brain]:
    """Return both brains.

    Raises:
        ConfigError: A package is absent, or its files are not those that the recipe was run on.
    """
    return [colin27(MRICRON), icbm152(_nilearn())]


def colin27(folder: Path) -> Brain:
    """Return the person of Colin27 with the brain and some of AAL's regions.

    Raises:
        ConfigError: See `real_brains`.
    """
    values, inside, regions = (
        _volume(folder / name) for name in ("ch2.nii.gz", "ch2bet.nii.gz", "aal.nii.gz")
    )
    seen = {name: np.isin(regions, numbers) for name, numbers in _SEEN.items()}
    return Brain("Colin27", _scaled(values), inside > 0, seen)


def icbm152(folder: Path) -> Brain:
    """Return the template of ICBM152 with the brain, its white matter and its ventricles.

    Raises:
        ConfigError: See `real_brains`.
    """
    values, grey, white = (_volume(folder / _ICBM.format(kind)) for kind in ("t1", "gm", "wm"))
    tissue = grey.astype(np.int64) + white > _HALF
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(tissue, iterations=6))
    deep = ndimage.distance_transform_edt(brain) > _DEEP_MM
    seen = {"white matter": white > _HALF, "ventricles": brain & deep & ~tissue}
    return Brain("ICBM152", _scaled(values), brain, seen)


def _nilearn() -> Path:
    found = find_spec("nilearn")
    if found is None or found.origin is None:
        raise ConfigError("nilearn is not installed: pip install --no-deps nilearn==0.14.1")
    return Path(found.origin).parent / "datasets" / "data"


def _volume(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise ConfigError(
            f"{path} is not there: install the package that holds it, or use --brains 0"
        )
    if file_hash(path) != _HASHES[path.name]:
        raise ConfigError(
            f"{path} is another version than the recipe was run on; install the one it names"
        )
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj, np.uint8)


def _scaled(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    top = float(np.percentile(values[values > 0], 99.5))
    return np.clip(values / top, 0, 1).astype(np.float32)
