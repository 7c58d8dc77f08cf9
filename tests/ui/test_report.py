"""`overread report` with a session: the editor, the signature and the files, as a user has them."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def session(run: Run, chest: Path, planner_url: str) -> str:
    """A session in which the effusion was outlined."""
    done = run("ask", chest, "Is there an effusion?", "--base-url", planner_url, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["session"]


def test_a_report_is_edited_signed_and_exported(run: Run, session: str, tmp_path: Path) -> None:
    draft = run("report", "--session", session)
    assert draft.returncode == 0, draft.stderr
    assert draft.stdout.startswith("# Radiograph of the chest - DRAFT")
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\nsed -i 's/^1\\. .*/1. Left effusion, tapped today. [E2]/' \"$1\"\n"
    )
    editor.chmod(0o755)
    edited = run("report", "--session", session, "--edit", EDITOR=str(editor))
    assert edited.returncode == 0, edited.stderr
    assert "1. Left effusion, tapped today. [E2]" in edited.stdout
    editor.write_text("#!/bin/sh\nsed -i '/^## Comparison/d; s/tapped today/drained/' \"$1\"\n")
    refused = run("report", "--session", session, "--edit", EDITOR=str(editor))
    assert refused.returncode == 2 and "## Comparison" in refused.stderr, refused.stderr
    kept = tmp_path / "cwd" / f"refused-{session}.md"
    assert kept.name in refused.stderr and "drained" in kept.read_text()
    early = tmp_path / "early"
    unsigned = run("report", "--session", session, "--export", "pdf", "--out", early)
    assert unsigned.returncode == 0, unsigned.stderr
    (name,) = [path.name for path in early.iterdir()]
    assert name.startswith("DRAFT-report-") and name.endswith(".pdf")
    final = tmp_path / "final"
    formats = [word for kind in ("md", "pdf", "fhir", "sr", "seg") for word in ("--export", kind)]
    signed = run("report", "--session", session, "--sign", "Dr. Å", *formats, "--out", final)
    assert signed.returncode == 0, signed.stderr
    files = {re.sub(r"-st-\w+", "", path.name): path for path in final.iterdir()}
    assert set(files) == {
        "report.md", "report.pdf", "report.fhir.json", "report.sr.dcm", "segmentation.dcm",
        "image-1.dcm",
    }  # fmt: skip
    assert "Left effusion, tapped today. [E2]" in files["report.md"].read_text()
    assert pydicom.dcmread(files["report.sr.dcm"]).VerificationFlag == "VERIFIED"
    again = run("report", "--session", session, "--sign", "Dr. B")
    assert again.returncode == 2
    assert again.stderr.startswith("overread: the report was signed by Dr. Å already")
    redrafted = run("report", "--session", session, "--redraft")
    assert "DRAFT" in redrafted.stdout and "tapped" not in redrafted.stdout


def test_images_are_asked_about_and_exported_in_one_go(
    run: Run, chest: Path, planner_url: str, tmp_path: Path
) -> None:
    done = run(
        "report", chest, "--base-url", planner_url, "--export", "md", "--out", tmp_path / "x"
    )
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "x").iterdir()
    assert file.name.startswith("DRAFT-") and "Effusion: " in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give an image to report, or --session"),
        (["--session", "nobody"], "there is no session 'nobody'"),
        (["--session", "../x"], "is not a session id"),
    ],
)
def test_what_cannot_be_reported(run: Run, arguments: list[str], reason: str) -> None:
    done = run("report", *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert reason in done.stderr


def test_what_cannot_be_exported(run: Run, session: str, tmp_path: Path) -> None:
    done = run("report", "--session", session, "--export", "docx")
    assert done.returncode == 2 and "'docx' is no format of a report" in done.stderr
    (tmp_path / "file").write_text("")
    done = run("report", "--session", session, "--export", "md", "--out", tmp_path / "file")
    assert done.returncode == 2 and "cannot be written" in done.stderr
