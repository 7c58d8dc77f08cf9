"""bfloat16 is served only where the CPU multiplies it by itself, or where float32 does not fit."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from overread.agent import vllm_command
from overread.agent.precision import for_this_cpu, multiplies_bfloat16
from overread.agent.profiles import load_profile
from overread.agent.vllm_command import fitting

OLD = "processor\t: 0\nflags\t\t: fpu sse2 avx2 fma\n"
NEW = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"


def told(folder: Path, text: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "native"),
    [
        (OLD, False),
        (NEW, True),
        ("flags\t\t: amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        ("Features\t: fp asimd\n", False),
        ("nothing that is known\n", True),
    ],
)
def test_flags_tell_what_the_cpu_multiplies(tmp_path: Path, text: str, native: bool) -> None:
    assert multiplies_bfloat16(told(tmp_path, text)) is native


def test_where_nothing_is_told_nothing_changes(tmp_path: Path) -> None:
    assert multiplies_bfloat16(tmp_path / "absent")


def test_float32_keeps_as_many_tokens_and_is_for_unquantised_models_on_a_cpu(
    tmp_path: Path,
) -> None:
    old, profile = told(tmp_path, OLD), load_profile("bundled")
    wider = for_this_cpu(profile, old)
    assert (wider.dtype, wider.kv_cache_gib) == ("float32", 2 * profile.kv_cache_gib)
    changes = ({"device": "gpu"}, {"quantisation": "awq"}, {"dtype": "float16"})
    for other in [profile.model_copy(update=change) for change in changes]:
        assert for_this_cpu(other, old) is other
    assert for_this_cpu(profile, told(tmp_path, NEW)) is profile


def test_what_does_not_fit_twice_as_wide_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        vllm_command, "for_this_cpu", lambda profile: for_this_cpu(profile, told(tmp_path, OLD))
    )
    memory = SimpleNamespace(available=8 * 1024**3)
    monkeypatch.setattr(vllm_command.psutil, "virtual_memory", lambda: memory)
    model = tmp_path / "model"
    model.mkdir()
    profile = load_profile("bundled")
    assert fitting(profile, str(model)).dtype == "float32"
    (model / "config.json").write_text('{"quantization_config": {"quant_method": "awq"}}')
    assert fitting(profile, str(model)) is profile
    (model / "config.json").write_text("{}")
    tight = profile.model_copy(update={"kv_cache_gib": 5})
    assert fitting(tight, str(model)) is tight
