"""Retrieving contexts for an image: name its domain, search there, keep what is worth keeping."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image as PILImage

from overread.imaging.study import UNSTATED, Image
from overread.index.domain_head import UNKNOWN
from overread.index.domains import Verdict, by_header_or_picture, by_picture
from overread.index.filters import ANYWHERE, Scope
from overread.index.records import Hit, picture, pixel_hash
from overread.index.select import CANDIDATES, Cut, Policy
from overread.index.store import CaseIndex


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found for an image.

    Attributes:
        verdict: The image's domain and what told it.
        domain: Of the cases: the image's own; that of the closest case when all domains were
            searched; "unknown" when there is none.
        ranked: Every candidate, best first, of all domains that were searched.
        kept: Those of `ranked` that are worth showing, best first.
        cut: Where the adaptive selection cuts.
    """

    verdict: Verdict
    domain: str
    ranked: tuple[Hit, ...]
    kept: tuple[Hit, ...]
    cut: Cut


def retrieve(
    index: CaseIndex,
    image: Image | PILImage.Image,
    text: str = "",
    scope: Scope = ANYWHERE,
    candidates: int = CANDIDATES,
) -> Retrieved:
    """Find the cases for an image as the index's policy says.

    The picture itself never comes back, whoever it belongs to.

    Args:
        index: To search.
        image: From a study, with what its header tells; or a picture without any.
        text: Words that the cases must match as well.
        scope: Where to look; its domain, if it has one, is not asked again.
        candidates: Length of the ranked list.
    """
    view = picture(image) if isinstance(image, Image) else image
    vector = index.embedder.embed_images([view])[0]
    modality, part = (
        (image.modality, image.body_part) if isinstance(image, Image) else (UNSTATED, None)
    )
    verdict = by_header_or_picture(modality, part, lambda: by_picture(vector, index.embedder))
    routed = verdict.domain if index.policy.route and verdict.domain != UNKNOWN else None
    exclude = replace(scope.exclude, pixels=scope.exclude.pixels or pixel_hash(view))
    scope = replace(scope, exclude=exclude, domain=scope.domain or routed)
    if scope.domain is not None and index.embedder_of(scope.domain) is not index.embedder:
        vector = index.embedder_of(scope.domain).embed_images([view])[0]
    ranked = index.search_vector(vector, candidates, scope)
    if text:
        matching = {hit.study_id for hit in index.search(text, 4 * candidates, scope)}
        ranked = [hit for hit in ranked if hit.study_id in matching]
    domain = scope.domain or (ranked[0].domain if ranked else UNKNOWN)
    cut = index.cut(domain)
    return Retrieved(verdict, domain, tuple(ranked), tuple(kept(ranked, index.policy, cut)), cut)


def kept(ranked: Sequence[Hit], policy: Policy, cut: Cut) -> list[Hit]:
    """Return what a policy keeps of ranked cases, of the domain of the closest alone."""
    same = [hit for hit in ranked if hit.domain == ranked[0].domain]
    return same[: policy.keep([hit.score for hit in same], cut)]
