"""The number format in which a planner is served on the CPU of this machine."""

from pathlib import Path

from overread.agent.profiles import Profile

CPU_INFO = Path("/proc/cpuinfo")
_NATIVE = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of CPUs that multiply bfloat16 by themselves; the last is Arm's."""


def multiplies_bfloat16(told: Path = CPU_INFO) -> bool:
    """Return whether the CPU multiplies bfloat16 by itself; True where that is not told."""
    try:
        lines = told.read_text("utf-8").splitlines()
    except OSError:
        return True
    flags = [line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Feat"))]
    return not flags or not _NATIVE.isdisjoint(flags[0])


def for_this_cpu(profile: Profile, told: Path = CPU_INFO) -> Profile:
    """Return the profile with float32 in the place of a bfloat16 that the CPU cannot multiply.

    Software does it there, several times as slowly (`overread.evals.bench.cpu_precision`). The cache
    grows with its numbers, so that it holds as many tokens.

    Args:
        profile: As chosen.
        told: What Linux tells of the CPU.
    """
    asked = profile.device == "cpu" and profile.dtype == "bfloat16"
    if not asked or profile.quantisation is not None or multiplies_bfloat16(told):
        return profile
    wider = {"dtype": "float32", "kv_cache_gib": 2 * profile.kv_cache_gib}
    return profile.model_copy(update=wider)
