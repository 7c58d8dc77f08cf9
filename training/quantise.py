"""Fewer bits for a merged model: bitsandbytes here and now, AWQ and GPTQ by llm-compressor on a GPU.

What cannot be done is said by `check` before any work starts. Vision tower, connector and head keep
their bits: they are small, and an image is read through them once for all that is said of it.
"""

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from overread.imaging.errors import ConfigError, InputError

Bits = Literal[4, 8]
Format = Literal["bnb", "awq", "gptq"]

KEPT = ("lm_head", "vision_model", "vision_tower", "visual", "connector", "multi_modal_projector")
"""Names of modules that are left as they are, in the architectures that we know."""

_SCHEMES = {("awq", 4): "W4A16_ASYM", ("gptq", 4): "W4A16", ("gptq", 8): "W8A16"}
_LONGEST = 4096  # tokens of a calibration prompt

Inputs = Callable[[Path], Sequence[dict[str, Any]]]
"""Calibration prompts as the processor of a model folder encodes them: lists of numbers."""


def check(fmt: Format, bits: int) -> None:
    """Make sure that this machine can quantise so.

    Raises:
        InputError: There is no such combination.
        ConfigError: A package or a GPU is missing, or a trial fails.
    """
    if fmt not in get_args(Format) or bits not in get_args(Bits):
        raise InputError(f"there is no {fmt} of {bits} bits; choose bnb, awq or gptq, and 8 or 4")
    if fmt == "bnb":
        check_bitsandbytes(bits)
        return
    if (fmt, bits) not in _SCHEMES:
        raise InputError(f"{fmt} has 4 bits, not {bits}; choose --bits 4, or --format gptq or bnb")
    import torch

    missing = [] if importlib.util.find_spec("llmcompressor") else ["the package llmcompressor"]
    missing += [] if torch.cuda.is_available() else ["a GPU"]
    if missing:
        raise ConfigError(
            f"{fmt} needs {' and '.join(missing)}; --format bnb works without, or run the export "
            "on a machine that has them"
        )


def check_bitsandbytes(bits: int) -> None:
    """Try bitsandbytes on one small layer, forward and backward, where the model would be.

    Raises:
        ConfigError: It is not installed, or does not work on this machine.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError("bitsandbytes is not installed; pip install 'overread[train]'")
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        from bitsandbytes.nn import Linear4bit, Linear8bitLt

        options: dict[str, Any] = (
            {"has_fp16_weights": False} if bits == 8 else {"quant_type": "nf4"}
        )
        layer = (Linear8bitLt if bits == 8 else Linear4bit)(64, 64, bias=False, **options)
        values = torch.ones(2, 64, dtype=torch.bfloat16, device=device, requires_grad=True)
        out = layer.to(torch.bfloat16).to(device)(values)
        out.sum().backward()
        works = bool(torch.isfinite(out).all()) and values.grad is not None
    except Exception as error:  # whatever its kernels raise, it does not work here
        raise ConfigError(
            f"bitsandbytes with {bits} bits does not work on this {device}: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    if not works:
        raise ConfigError(f"bitsandbytes with {bits} bits computes nonsense on this {device}")


def quantise(merged: Path, out: Path, fmt: Format, bits: int, inputs: Inputs) -> None:
    """Write a merged model folder with fewer bits.

    Args:
        merged: A model folder in full precision.
        out: Where to; the processor is written there, too.
        fmt: How.
        bits: How many, for each weight.
        inputs: Gives calibration prompts; asked by AWQ and GPTQ.

    Raises:
        InputError, ConfigError: As `check`.
    """
    check(fmt, bits)
    if fmt == "bnb":
        _bitsandbytes(merged, out, bits)
    else:
        _llm_compressor(merged, out, _SCHEMES[fmt, bits], fmt, inputs(merged))
    for path in merged.iterdir():
        if path.is_file() and not (out / path.name).exists() and path.suffix != ".safetensors":
            shutil.copy(path, out / path.name)


def kept_modules(model: Any) -> list[str]:
    """Return the names of a model's modules that keep their bits, without those inside them."""
    found = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in KEPT]
    return [name for name in found if not any(name.startswith(f"{other}.") for other in found)]


def _bitsandbytes(merged: Path, out: Path, bits: int) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    common: dict[str, Any] = {
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": False,
        "dtype": "auto",
    }
    with torch.device("meta"):
        plain = AutoModelForImageTextToText.from_config(_config(merged))
    config = BitsAndBytesConfig(
        load_in_8bit=bits == 8,
        load_in_4bit=bits == 4,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=kept_modules(plain),
    )
    model = AutoModelForImageTextToText.from_pretrained(
        merged, quantization_config=config, **common
    )
    model.save_pretrained(out)


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _llm_compressor(
    merged: Path, out: Path, scheme: str, fmt: Format, inputs: Sequence[dict[str, Any]]
) -> None:
    """Quantise in one shot. Written after llm-compressor 0.14; not run yet: it needs a GPU."""
    import torch
    from datasets import Dataset
    from llmcompressor import oneshot  # type: ignore[import-not-found]
    from llmcompressor.modifiers.quantization import (  # type: ignore[import-not-found]
        GPTQModifier,
        QuantizationModifier,
    )
    from llmcompressor.modifiers.transform.awq import (  # type: ignore[import-not-found]
        AWQModifier,
    )
    from transformers import AutoModelForImageTextToText

    model: Any = AutoModelForImageTextToText.from_pretrained(
        merged, dtype="auto", use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    where: dict[str, Any] = {
        "targets": "Linear",
        "scheme": scheme,
        "ignore": [f"re:.*{name}.*" for name in KEPT],
    }
    recipe = (
        [AWQModifier(), QuantizationModifier(**where)] if fmt == "awq" else GPTQModifier(**where)
    )
    oneshot(
        model=model,
        dataset=Dataset.from_list(list(inputs)),
        recipe=recipe,
        max_seq_length=_LONGEST,
        num_calibration_samples=len(inputs),
        data_collator=lambda rows: {key: torch.tensor(value) for key, value in rows[0].items()},
    )
    model.save_pretrained(out, save_compressed=True)
