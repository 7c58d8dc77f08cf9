"""What the documents name exists: links, paths, modules, make targets, commands and options."""

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
import typer

from overread.ui.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = [
    "imaging",
    "index",
    "tools",
    "agent",
    "evals",
    "training",
    "ui",
    "docs",
    "tests",
    "scripts",
    "src",
    ".ci",
]
FILES = ("Makefile", "pyproject.toml", "constraints.txt", "CHANGELOG.md", "LICENSE")
# Folders of the data folder that are named as in the repository.
IN_DATA_FOLDER = frozenset({"index/quarantine.jsonl", "evals/replies/"})

_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`]+)`")
_PATH = re.compile(r"[\w.*/-]+")
_MODULE = re.compile(r"\boverread(?:\.[a-z_]\w*)+")
_COMMAND = re.compile(r"(?:^|[\s/(])overread(?= )([^#|>]*)")
_OPTION = re.compile(r"--[a-z][a-z-]+")
_REMOTE = ("http://", "https://", "mailto:")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=DOCS, ids=named)
def document(request: pytest.FixtureRequest) -> Path:
    return request.param


def code(text: str) -> list[str]:
    """Return the inline code and the lines of the code blocks."""
    blocks = [line for block in _FENCE.findall(text) for line in block.splitlines()[1:-1]]
    inline = [" ".join(span.split()) for span in _INLINE.findall(_FENCE.sub("", text))]
    return [*inline, *blocks]


def is_ours(path: str) -> bool:
    if path in FILES:
        return True
    return "/" in path and path.split("/")[0] in FOLDERS and path not in IN_DATA_FOLDER


def module_exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or is defined in the module before its last dot."""
    module, _, name = dotted.rpartition(".")
    for candidate, attribute in ((dotted, ""), (module, name)):
        base = ROOT / "src" / candidate.replace(".", "/")
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.is_file():
            return re.search(rf"\b{attribute}\b", file.read_text("utf-8")) is not None
    return False


def complaint(words: list[str]) -> str | None:
    """Return what is wrong with the words after `overread`."""
    command: click.Command = typer.main.get_command(app)
    known = {"--help", "-h", *(name for item in command.params for name in item.opts)}
    while hasattr(command, "commands"):
        names = [word for word in words if not word.startswith("-")]
        if not names:
            break
        if names[0] not in command.commands:
            return f"no command '{names[0]}'"
        words = words[words.index(names[0]) + 1 :]
        command = command.commands[names[0]]
        known |= {name for item in command.params for name in item.opts}
    unknown = [word for word in words if _OPTION.fullmatch(word) and word not in known]
    return f"no option {unknown[0]}" if unknown else None


def test_links_lead_somewhere(document: Path) -> None:
    links = _LINK.findall(_FENCE.sub("", document.read_text("utf-8")))
    local = [link.split("#")[0] for link in links if not link.startswith(_REMOTE)]
    missing = [link for link in local if link and not (document.parent / link).exists()]
    assert not missing


def test_paths_and_modules_exist(document: Path) -> None:
    spans = code(document.read_text("utf-8"))
    words = [word for span in spans for word in span.split() if _PATH.fullmatch(word)]
    missing = [word for word in words if is_ours(word) and not any(ROOT.glob(word.rstrip("/")))]
    modules = {name for span in spans for name in _MODULE.findall(span) if name != "overread.toml"}
    missing += [name for name in sorted(modules) if not module_exists(name)]
    assert not missing


def test_commands_exist(document: Path) -> None:
    found = [
        (line, shlex.split(words))
        for line in code(document.read_text("utf-8"))
        for words in _COMMAND.findall(line)
    ]
    assert [(line, why) for line, words in found if (why := complaint(words))] == []


def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    lines = code(document.read_text("utf-8"))
    named_here = {match[1] for line in lines if (match := re.match(r"make ([a-z]+)", line))}
    assert named_here <= targets


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("demo", None),
        ("ask chest.dcm 'Is it?' --session s --json", None),
        ("index search x -k 3 --domain fundus", None),
        ("--data-dir here doctor", "no command 'here'"),
        ("frobnicate", "no command 'frobnicate'"),
        ("index frobnicate", "no command 'frobnicate'"),
        ("serve --frobnicate", "no option --frobnicate"),
    ],
)
def test_the_check_of_commands_sees_mistakes(line: str, wrong: str | None) -> None:
    assert complaint(shlex.split(line)) == wrong


def test_the_diagram_is_well_formed_and_self_contained() -> None:
    root = ElementTree.parse(ROOT / "docs" / "architecture.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("viewBox")
    tags = {element.tag.split("}")[-1] for element in root.iter()}
    assert not tags & {"script", "image", "foreignObject", "a"}
    words = " ".join(root.itertext())
    for name in ("intake", "planner", "tools", "compose", "verify", "answer", *FOLDERS[:7]):
        assert name in words
