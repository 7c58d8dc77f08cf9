"""What readers think of answers, for training: written only with their consent, a line an answer.

The form is that of `overread.training.corrections`; `overread train pairs --feedback FILE` reads it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

from PIL import Image as PilImage

from overread.agent.resources import Resources
from overread.imaging.files import write_whole
from overread.imaging.render import to_view
from overread.imaging.study import ImageRef
from overread.imaging.synthetic import HEADER
from overread.tools.pictures import png
from overread.training.corrections import Feedback
from overread.ui.users import check_user

Line = dict[str, Any]


class FeedbackStore:
    """A folder for each user: `feedback.jsonl`, and the pictures that its lines are about."""

    def __init__(self, root: Path, resources: Resources) -> None:
        """Write below `root`; pictures come from the archive of `resources`."""
        self._root = root
        self._resources = resources
        self._lock = RLock()

    def file(self, user: str) -> Path:
        """Return where a user's lines are; the file may not exist."""
        return self._root / check_user(user) / "feedback.jsonl"

    def note(
        self,
        user: str,
        id_: str,
        question: str,
        answer: str,
        refs: Sequence[str],
        *,
        correction: str | None = None,
        thumb: str | None = None,
    ) -> bool:
        """Write what a reader who agreed to it thinks of an answer; the last word on it counts.

        Nothing is written about made-up images: nobody should learn from them as if they were real.

        Args:
            user: Whose file.
            id_: Of the answer: session, a colon, and what in it.
            question: As asked.
            answer: As shown.
            refs: Of the images.
            correction: What the answer should have been.
            thumb: "up" or "down".

        Returns:
            Whether it was written.
        """
        archive = self._resources.archive
        studies = [archive.study(ImageRef.parse(ref).study_id) for ref in refs]
        if any(HEADER in study.header for study in studies):
            return False
        images = [self._picture(user, ref) for ref in refs]
        line = Feedback.model_validate(
            {
                "id": id_,
                "consent": True,
                "patient": studies[0].patient_id,
                "question": question,
                "images": images,
                "answer": answer,
                "correction": correction,
                "thumb": thumb,
            }
        )
        added = line.model_dump(mode="json", exclude_none=True)
        self._rewrite(user, lambda known: [*(i for i in known if i["id"] != id_), added])
        return True

    def forget(self, user: str, session: str, id_: str | None = None) -> None:
        """Delete what was written about a session, or about one answer of it."""
        mine = f"{session}:"
        if not self.file(user).exists():
            return

        def others(known: list[Line]) -> list[Line]:
            if id_ is not None:
                return [item for item in known if item["id"] != id_]
            return [item for item in known if not str(item["id"]).startswith(mine)]

        self._rewrite(user, others)

    def _rewrite(self, user: str, change: Callable[[list[Line]], list[Line]]) -> None:
        path = self.file(user)
        with self._lock:
            lines = path.read_text("utf-8").splitlines() if path.exists() else []
            kept = change([json.loads(line) for line in lines])
            if kept:
                write_whole(path, "".join(f"{json.dumps(i, ensure_ascii=False)}\n" for i in kept))
            else:
                path.unlink(missing_ok=True)
            used = {Path(str(image)).name for item in kept for image in item["images"]}
            for picture in (path.parent / "images").glob("*.png"):
                if picture.name not in used:
                    picture.unlink()

    def _picture(self, user: str, ref: str) -> str:
        folder = self.file(user).parent / "images"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = ref.replace("/", "_") + ".png"
        if not (folder / name).exists():
            image = self._resources.archive.load(ImageRef.parse(ref))
            write_whole(folder / name, png(PilImage.fromarray(to_view(image))))
        return f"images/{name}"
