"""Benchmarks as data: a TOML file each, one loader for all.

from overread.evals.benchmarks import load, names, prompt

benchmark = load("slake", place="~/data/SLAKE", limit=200)
for item in benchmark.items:
print(prompt(item, benchmark.spec))
"""

from overread.evals.benchmarks.loading import Benchmark, LeftOut, load
from overread.evals.benchmarks.prompts import prompt
from overread.evals.benchmarks.registry import names, spec
from overread.evals.benchmarks.schema import Spec

__all__ = ["Benchmark", "LeftOut", "Spec", "load", "names", "prompt", "spec"]
