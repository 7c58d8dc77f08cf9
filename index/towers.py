"""What embeds what: images and texts, by domain. Goes to other processes as folders."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from overread.index.embedder import Embedder
from overread.index.sentences import TextEmbedder


@dataclass(frozen=True)
class Towers:
    """The embedders of an index.

    Attributes:
        default: Of all domains without their own; also tells the domain of a picture.
        by_domain: Embedders of single domains.
        passages: Of the texts of all domains; None where each domain's own embedder does.
    """

    default: Embedder
    by_domain: Mapping[str, Embedder] = field(default_factory=dict)
    passages: TextEmbedder | None = None

    def images(self, domain: str) -> Embedder:
        """Return the embedder of a domain's images; of an unknown one, "", the default."""
        return self.by_domain.get(domain, self.default)

    def texts(self, domain: str) -> TextEmbedder:
        """Return what embeds a domain's texts."""
        return self.passages or self.images(domain)

    @property
    def name(self) -> str:
        """Identity of them all."""
        own = [f"{domain}={tower.name}" for domain, tower in sorted(self.by_domain.items())]
        passages = self.passages.name if self.passages else "tower"
        return " ".join([self.default.name, *own, passages])

    @property
    def modules(self) -> list[str]:
        """Names of the modules they are from, each once."""
        own = [self.default, *self.by_domain.values(), *([self.passages] if self.passages else [])]
        return sorted({type(tower).__module__ for tower in own})
