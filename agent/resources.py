"""The folders and models behind the agent, opened on first use, once a process."""

import threading
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from overread.agent.config import Config, ensure_data_dir
from overread.imaging.archive import Archive
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import ImageRef
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence, ToolContext

if TYPE_CHECKING:
    from overread.index.corpus import TextCorpus
    from overread.index.embedder import Embedder
    from overread.index.store import CaseIndex
    from overread.tools.classifier import Classifier
    from overread.tools.generator import Generator
    from overread.tools.segmenter import Segmenter

T = TypeVar("T")
_loaded: dict[Hashable, Any] = {}
_locks: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()


def once(key: Hashable, load: Callable[[], T]) -> T:
    """Return what `load` gave the first time; callers at the same time wait for it."""
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _loaded:
            _loaded[key] = load()
        return _loaded[key]


class Resources:
    """What tools need, for one configuration.

    Attributes:
        data: The data folder; below it `archive/`, `artifacts/`, `index/`, `sessions.sqlite`.
        archive: De-identified images.
        artifacts: Files that tools made.
        pseudonymiser: For new images.
    """

    def __init__(self, config: Config) -> None:
        """Open the folders; models wait until they are asked for.

        Raises:
            ConfigError: The data folder cannot be written.
        """
        self._config = config
        self.data = ensure_data_dir(config)
        self.archive = Archive(self.data / "archive")
        self.artifacts = ArtifactStore(self.data / "artifacts")
        self.pseudonymiser = Pseudonymiser(self.data / "pseudonym.secret")

    @property
    def index_place(self) -> str | Path:
        """A Chroma server's URL, or the folder of the embedded index."""
        return self._config.index.url or self.data / "index"

    def segmenter(self) -> "Segmenter":
        """Return the segmenter.

        Raises:
            ConfigError: It cannot be used.
        """
        from overread.tools.segmenters import load_segmenter

        model = self._config.segmenter.model
        segmenter = once(
            ("segmenter", model, self.data), lambda: load_segmenter(model, self.archive)
        )
        if self._config.segmenter.words == "own":
            return segmenter
        from overread.tools.text_segmenter import TextSegmenter

        return once(
            ("segmenter", model, self.data, self._config.index.embedder),
            lambda: TextSegmenter(segmenter, self.embedder()),
        )

    def embedder(self) -> "Embedder":
        """Return the embedder.

        Raises:
            ConfigError: It cannot be used.
        """
        return embedder(self._config.index.embedder)

    def classifier(self) -> "Classifier | None":
        """Return the image classifier, or None when none is configured.

        Raises:
            ConfigError: It cannot be used.
        """
        from overread.tools.classifier import load_classifier

        folder = self._config.agent.classifier
        if folder is None:
            return None
        return once(("classifier", folder), lambda: load_classifier(Path(folder).expanduser()))

    def generator(self) -> "Generator":
        """Return what makes up pictures.

        Raises:
            ConfigError: It cannot be loaded.
        """
        from overread.tools.generator import load_generator

        model = self._config.synthesis.model
        return once(("generator", model), lambda: load_generator(model))

    def tool_context(
        self,
        images: tuple[ImageRef, ...],
        evidence: tuple[Evidence, ...] = (),
        write: Callable[[ImageRef | None, str], str] | None = None,
    ) -> ToolContext:
        """Return what tools work with: these resources, and what a session has so far.

        Args:
            images: Of the session.
            evidence: Of the session, oldest first.
            write: As in `ToolContext`.
        """
        chosen, names = self._config.segmenter, None
        if chosen != type(chosen)():
            segmenter = self.segmenter()
            names = () if segmenter.any_words else segmenter.targets
        return ToolContext(
            images=images,
            archive=self.archive,
            artifacts=self.artifacts,
            segmenter=self.segmenter,
            index=self.index,
            embedder=self.embedder,
            classifier=self.classifier,
            passages=self.passages,
            generator=self.generator if self._config.synthesis.enabled else None,
            evidence=evidence,
            names=names,
            write=write,
            exclude_same_patient=self._config.index.exclude_same_patient,
        )

    def index(self) -> "CaseIndex | None":
        """Return the index, or None when none was built.

        Raises:
            IndexMismatch: It was built with another embedder, or is damaged.
            ConfigError: The embedder or the Chroma server cannot be used.
        """
        from overread.index.store import has_index

        return self._open(create=False) if has_index(self.index_place) else None

    def passages(self) -> "TextCorpus | None":
        """Return the text corpus, or None when none was made.

        Raises:
            IndexMismatch: It was made with another encoder, or is damaged.
            ConfigError: The encoder or the Chroma server cannot be used.
        """
        from overread.index.corpus import has_passages

        return self.open_passages() if has_passages(self.index_place) else None

    def open_passages(self, create: bool = False) -> "TextCorpus":
        """Return the text corpus, embedded with the packaged sentence encoder where it is installed.

        Args:
            create: Make an empty one where none was made.

        Raises:
            IndexMismatch: There is none, it was made with another encoder, or it is damaged.
            ConfigError: The encoder or the Chroma server cannot be used.
        """
        from overread.index.corpus import TextCorpus
        from overread.index.sentences import has_sentences
        from overread.index.store import sentences

        tower = sentences() if has_sentences() else self.embedder()
        return TextCorpus.open(self.index_place, tower, create)

    def make_index(self) -> "CaseIndex":
        """Return the index; an empty one where none was built.

        Raises:
            IndexMismatch: It was built with another embedder, or is damaged.
            ConfigError: The embedder or the Chroma server cannot be used.
        """
        return self._open(create=True)

    def _open(self, create: bool) -> "CaseIndex":
        from overread.index.select import Policy
        from overread.index.store import CaseIndex

        place, config = self.index_place, self._config.index

        def opened() -> CaseIndex:
            return CaseIndex.open(
                place,
                embedder(config.embedder),
                create,
                by_domain={
                    domain: partial(embedder, spec) for domain, spec in config.embedders.items()
                },
                passages=config.passages,
                policy=Policy(config.selection, config.fixed_k, config.route),
            )

        return once(("index", str(place), config.model_dump_json()), opened)


def embedder(spec: str) -> "Embedder":
    """Load an embedder, once a process.

    Raises:
        ConfigError: There is no such model, or it is not one we may load.
    """
    from overread.index.embedder import load_embedder

    return once(("embedder", spec), lambda: load_embedder(spec))
