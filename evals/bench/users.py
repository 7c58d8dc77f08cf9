"""Many readers at once in the reading room: errors, cross-talk, and how long they wait.

    overread chat --port 7860 --proxy-header X-Forwarded-User &
    python -m overread.evals.bench.users --url http://127.0.0.1:7860 --users 20

Each user is named by the header, as behind a reverse proxy, has a synthetic chest radiograph of an own
patient, asks one question with `gradio_client` and clicks five times. Cross-talk is looked for by
content: the pixels that the server shows of a user's session must be those of the user's own file, each
mask must be the one that the bundled segmenter makes of that file, and the sessions of the next user
must be unknown to this one.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx2
import numpy as np
from gradio_client import Client, handle_file
from rich.console import Console
from rich.table import Table

from overread.imaging.phantoms import generate, split_of, write
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import Image
from overread.tools.bundled_segmenter import BundledSegmenter
from overread.tools.clicks import Prompts, answer, read_mask
from overread.tools.segmenter import Point

DOMAIN, CLICKS, TIMEOUT_S = "chest-xray", 5, 900.0
ROUNDING = 1e-3
"""Part of the pixels that may differ between two runs of one network on other numbers of threads."""


@dataclass
class Reader:
    """One user: what was sent, what came back, how long it took (seconds)."""

    name: str
    file: Path
    own: Image
    session: str = ""
    image: str = ""
    asked_s: float = 0.0
    clicks_s: list[float] = field(default_factory=list)
    masks: list[tuple[tuple[Point, ...], bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def readers(number: int, folder: Path) -> list[Reader]:
    """Return users with a radiograph of a test patient each."""
    pseudonymiser = Pseudonymiser(folder / "secret")
    made: list[Reader] = []
    patient = 0
    while len(made) < number:
        patient += 1
        if split_of(f"ph-{DOMAIN}-{patient:05d}") != "test":
            continue
        file = write(generate(DOMAIN, patient, size=512), folder)
        own = read_studies([file], pseudonymiser)[0].images[0]
        made.append(Reader(f"user-{len(made):02d}", file, own))
    return made


def use(reader: Reader, url: str, header: str, question: str, together: Barrier) -> None:
    """Ask a question and click, and note what is wrong with what comes back."""
    headers = {header: reader.name, "X-Overread": "1"}
    client = Client(url, headers=headers, verbose=False)
    together.wait()
    began = time.perf_counter()
    told = client.predict(question, [handle_file(reader.file)], "", api_name="/ask")
    reader.asked_s = time.perf_counter() - began
    if "error" in told:
        reader.problems.append(str(told["error"]))
        return
    reader.session, reader.image = told["session"], told["evidence"][0]["image"]
    with httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_S) as http:
        here = f"/reading/sessions/{reader.session}"
        rng = np.random.default_rng(int(reader.name[-2:]))
        points: tuple[Point, ...] = ()
        for _ in range(CLICKS):
            y, x = (int(rng.integers(side // 4, 3 * side // 4)) for side in reader.own.shape)
            points = (*points, (x, y, True))
            began = time.perf_counter()
            reply = http.post(f"{here}/clicks", json={"image": reader.image, "points": points})
            reader.clicks_s.append(time.perf_counter() - began)
            if reply.status_code != 200:
                reader.problems.append(f"a click: {reply.status_code} {reply.text:.80}")
            else:
                reader.masks.append((points, reply.content))
        check_pixels(reader, http.get(f"{here}/pixels/{reader.image}"))
        known = [item["id"] for item in http.get("/reading/sessions").json()]
        if known != [reader.session]:
            reader.problems.append(f"sees {len(known)} sessions, not the one that is its own")


def check_pixels(reader: Reader, reply: httpx2.Response) -> None:
    """Hold what the server shows of a session against the user's own file."""
    if reply.status_code != 200:
        reader.problems.append(f"its image: {reply.status_code}")
        return
    plane = json.loads(reply.headers["X-Overread-Plane"])
    stored = np.frombuffer(reply.content, "<u2").reshape(plane["rows"], plane["columns"])
    shown = stored * plane["slope"] + plane["offset"]
    own = reader.own.pixels
    if shown.shape != own.shape or np.abs(shown - own).max() > plane["slope"]:
        reader.problems.append("sees other pixels than its own")


def check_masks(reader: Reader, segmenter: BundledSegmenter) -> None:
    """Hold each mask of the server's against the one of the user's own file."""
    for points, data in reader.masks:
        expected = answer(segmenter, reader.own, Prompts(points=points)).mask
        if (read_mask(data, reader.own.shape) != expected).mean() > ROUNDING:
            reader.problems.append(f"another mask than its own after {len(points)} clicks")


def check_apart(users: list[Reader], url: str, header: str) -> None:
    """Let each user try the next one's session and image."""
    for reader, other in zip(users, [*users[1:], users[0]], strict=True):
        if not other.session or other is reader:
            continue
        with httpx2.Client(base_url=url, headers={header: reader.name}) as http:
            for path in ("", f"/pixels/{other.image}", "/export"):
                status = http.get(f"/reading/sessions/{other.session}{path}").status_code
                if status != 404:
                    reader.problems.append(f"{other.name}'s session{path} answers {status}")


def summary(name: str, seconds: list[float]) -> dict[str, Any]:
    """Return a row of the table."""
    if not seconds:
        return {"what": name, "number": 0, "p50_s": None, "p95_s": None, "max_s": None}
    p50, p95 = np.percentile(seconds, [50, 95])
    return {
        "what": name,
        "number": len(seconds),
        "p50_s": round(float(p50), 3),
        "p95_s": round(float(p95), 3),
        "max_s": round(max(seconds), 3),
    }


def main() -> int:
    """Run the users and print the table; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:7860")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--header", default="X-Forwarded-User")
    parser.add_argument("--question", default="Where is the thorax?")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        users = readers(asked.users, Path(folder))
        together = Barrier(len(users), timeout=TIMEOUT_S)
        with ThreadPoolExecutor(len(users)) as pool:
            running = [
                pool.submit(use, reader, asked.url, asked.header, asked.question, together)
                for reader in users
            ]
            for reader, result in zip(users, running, strict=True):
                if error := result.exception():
                    reader.problems.append(f"{type(error).__name__}: {error}")
        check_apart(users, asked.url, asked.header)
        segmenter = BundledSegmenter()
        for reader in users:
            check_masks(reader, segmenter)
    rows = [
        summary("question", [reader.asked_s for reader in users if reader.session]),
        summary("click", [second for reader in users for second in reader.clicks_s]),
    ]
    problems = [f"{reader.name}: {text}" for reader in users for text in reader.problems]
    if asked.json:
        console.print_json(json.dumps({"users": len(users), "rows": rows, "problems": problems}))
        return int(bool(problems))
    table = Table("", "number", "p50 s", "p95 s", "max s", title=f"{len(users)} users at once")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    console.print(f"{len(problems)} problems", *problems, sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
