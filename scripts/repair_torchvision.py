"""Let torchvision import beside a CPU torch when its own wheel was built for CUDA.

Such a torchvision cannot load its compiled operators, and its import fails on `torchvision::nms`.
Run by set-up in the virtual environment; does nothing where torchvision imports. Otherwise it
writes a hook into the environment which declares the two operator schemas just before torchvision
is first imported, in every process of that environment. Transforms then work; compiled operators
(nms, image codecs) do not, and Overread uses none.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

HOOK = '''"""Declares torchvision's operator schemas; written by Overread's set-up."""

import sys


class _DeclareOperators:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            self.library.define("nms" + boxes)
            self.library.define("qnms" + boxes)
            sys._overread_torchvision = self  # keeps the declarations alive
        return None


sys.meta_path.insert(0, _DeclareOperators())
'''


def imports(module: str) -> bool:
    """Whether a fresh interpreter can import a module."""
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Repair if needed; return the exit code."""
    if imports("torchvision"):
        return 0
    site = Path(sysconfig.get_paths()["purelib"])
    (site / "_overread_torchvision.py").write_text(HOOK)
    (site / "_overread_torchvision.pth").write_text("import _overread_torchvision\n")
    if imports("torchvision"):
        print("torchvision: declared its operator schemas (its wheel was built for another torch)")
        return 0
    print("torchvision does not import; reinstall it to match torch", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
