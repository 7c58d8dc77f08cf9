"""Hold an answer against its question: true words beside the point are no answer."""

import re

from overread.agent import language
from overread.agent.language import Mention

_KINDS = ("modality", "view", "body part")
# Up to two words an alternative: "upper zone, middle zone or lower zone?", "first or second." What follows
# in "has it grown since the prior study, or is it unchanged?" is a question of its own.
_ITEM = r"[\w'-]+(?: [\w'-]+)?"
_OFFER = re.compile(
    rf"((?:{_ITEM}, )*{_ITEM}),? or (?!(?:is|are|was|were|has|have|had|do|does|did)\b)({_ITEM}(?: [\w'-]+)?)\s*[?.]?\s*$",
    re.IGNORECASE,
)
# "Answer with one of: X-ray, CT." lists them; an item may itself hold an "or".
_LISTED = re.compile(
    r"\b(?:one of|choose from|options are):\s*([^:\n]*[^:\n.?\s])[.?]?\s*$", re.IGNORECASE
)
# "Which organ or region is imaged?" offers nothing; ": liver or spleen?" and "Answer A or B." do.
_OPEN = re.compile(r"^\W*(?:which|what|where|when|who|how|why)\b[^:,.?]*$", re.IGNORECASE)
_YES_NO = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|should|will|would)\b", re.IGNORECASE
)
_WHAT_IMAGE = re.compile(
    r"^\W*(?:is|was) (?:this|it|(?:this|the) (?:image|picture|study|scan|examination)) "
    r"(?:made|acquired|taken|produced|obtained|an?|from|of)\b([^?]*)",
    re.IGNORECASE,
)
# "or not" is the same as yes or no; the other words are of no use to tell alternatives apart.
_DENIALS = frozenset({"not", "no", "absent", "none"})
_EMPTY = frozenset(
    {"a", "an", "the", "of", "in", "on", "at", "to", "is", "it", "this", "image", "side", "answer"}
)


def beside_the_point(question: str, answer: str) -> str | None:
    """Return why an answer does not answer its question; None where it may.

    Only what is plain is held against it: a question with alternatives at its end, or a list of them,
    wants one of them, a yes-or-no question wants yes or no. To say that what is asked about is not
    there answers both.

    >>> beside_the_point("Is it a PA or an AP projection?", "8 similar cases were found [E2].")
    'does not say PA or AP projection'
    >>> beside_the_point("Is there a nodule?", "The chest [E1].")
    'does not say yes or no'
    """
    asked = {mention.term for mention in language.mentions(question)}
    told = language.mentions(answer)
    led = any(language.lead(sentence) for sentence in language.sentences(answer))
    yes_or_no = _YES_NO.match(question) is not None
    if (led and yes_or_no) or any(mention.negated and mention.term in asked for mention in told):
        return None
    if choices := offered(question):
        said = set(re.findall(r"[\w-]+", language.spoken(answer).lower()))
        terms = {mention.term for mention in told}
        for words in choices:
            known = {mention.term for mention in language.mentions(" ".join(words))}
            if said & {word.lower() for word in words} or terms & known:
                return None
        return f"does not say {' or '.join(' '.join(words) for words in choices)}"
    if not yes_or_no or asked & {mention.term for mention in told}:
        return None
    return "does not say yes or no"


def kind_asked(question: str) -> Mention | None:
    """Return the modality, view or body part that a yes-or-no question asks of the whole image.

    None where it asks something else, or of two at once.

    >>> kind_asked("Is this an MRI?").term.name, kind_asked("Is this CT of diagnostic quality?")
    ('MR', None)
    """
    found = _WHAT_IMAGE.match(question)
    said = language.mentions(found[1]) if found else ()
    return said[0] if len(said) == 1 and said[0].term.kind in _KINDS else None


def in_listed_words(question: str, answer: str) -> str:
    r"""Return an answer that begins with the alternative it means, where the question lists them.

    A planner says "histology" where a list says "light microscopy"; whoever asked wants its words.

    >>> in_listed_words("How was it made?\nAnswer with one of: CT, light microscopy.", "Histology [E2].")
    'Light microscopy: Histology [E2].'
    """
    texts = _listed(question)
    spoken = language.spoken(answer).lower()
    if any(text.lower() in spoken for text in texts):
        return answer
    told = {mention.term for mention in language.mentions(answer) if not mention.negated}
    meant = [text for text in texts if told & {m.term for m in language.mentions(text)}]
    if len(meant) != 1:
        return answer
    return f"{meant[0][:1].upper()}{meant[0][1:]}: {answer}"


def offered(question: str) -> list[list[str]]:
    """Return the telling words of each alternative at the end of a question; none if there are none."""
    texts = _listed(question)
    if not texts:
        found = _OFFER.search(question.strip())
        if found is None or _OPEN.match(question.strip(" ?.")):
            return []
        texts = [*found[1].split(", "), found[2]]
    items = [[word for word in text.split() if word.lower() not in _EMPTY] for text in texts]
    if any(not words or words[0].isdigit() or words[0].lower() in _DENIALS for words in items):
        return []
    return items


def without_list(question: str) -> str:
    """Return a question without the alternatives that it lists after a colon.

    >>> without_list("Which organ is it? Answer with one of: brain, blood.")
    'Which organ is it? Answer with '
    """
    return _LISTED.sub("", question)


def _listed(question: str) -> list[str]:
    """Return the alternatives that a question lists after a colon; none if it lists none."""
    found = _LISTED.search(question)
    return found[1].split(", ") if found else []
