"""The model card of an export."""

from pathlib import Path
from typing import Any

from overread.training.trained import Trained

_TEMPLATE = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [overread, medical, research-only]
---

# {run}

**Research use only. Not a medical device. Not for diagnosis or treatment.**

| | |
| --- | --- |
| what | {what} |
| base | {base} |
| weights of the run | `{weights}` |
| adapter rank | {rank} |
| bits | {bits} |
| made | {made}, {versions} |

{use}

## Trained on

{manifest}

## How good is it?

An export measures nothing. `overread eval run ... --subject local:FOLDER` does, and
`overread train export ... --check` says whether the served model answers as the trained one.
{run_card}"""

_WHAT = {
    "merged": "one model, adapters merged into the base",
    "adapter": "a LoRA adapter beside its base",
    "ours": "the bundled planner's own tensors: adapter, connector and vision tower",
    "aligned": "the adapter that takes the place of the bundled planner's supervised one",
}
_USE = {
    "merged": "Serve it with `overread serve --profile profile.toml` (the path of that file here).",
    "adapter": (
        "Serve it with `overread serve --profile profile.toml` (the path of that file here): vLLM "
        "loads the base and takes the adapter by `--lora-modules`."
    ),
    "ours": "Copy the files to `agent/weights/planner/`; the planner is assembled at first use.",
    "aligned": "Copy the files to `agent/weights/planner/`, beside the supervised weights.",
}


def card(trained: Trained, facts: dict[str, Any], has_manifest: bool) -> str:
    """Return the card: what it is, where it comes from, and the run's own card below.

    Args:
        trained: The run.
        facts: As the export writes them with its hashes.
        has_manifest: Whether the run told what it was trained on.
    """
    bits = f"{facts['bits']} ({facts['format']})" if facts["bits"] else "as trained"
    return _TEMPLATE.format(
        run=facts["run"],
        what=_WHAT[facts["kind"]],
        base=facts["base"] or "none: the whole model was trained",
        weights=facts["weights"],
        rank=facts["rank"] or "none",
        bits=bits,
        made=facts["made"],
        versions=", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
        use=_USE[facts["kind"]],
        manifest=(
            "See `training-manifest.txt`; evaluations leave those patients out or say so."
            if has_manifest
            else "The run did not say. Evaluations cannot tell what it has seen."
        ),
        run_card=_run_card(trained.run),
    )


def _run_card(run: Path) -> str:
    path = run / "README.md"
    if not path.is_file():
        return ""
    text = path.read_text("utf-8", errors="replace")
    if text.startswith("---\n") and "\n---\n" in text:  # its own front matter
        text = text.split("\n---\n", 1)[1]
    return f"\n## The run's own card\n\n{text.strip()}\n"
