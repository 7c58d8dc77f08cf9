"""Which preference pairs the replies to one question make: RAG-PT's three kinds, and one ours.

Source: MMed-RAG, arXiv:2410.13085, section on RAG-based preference fine-tuning.

| kind | when | chosen | rejected |
| --- | --- | --- | --- |
| look | the answer to a noised image is still right: it was not read from the image | the right answer, given the real image | that answer, given the noised image |
| use_context | right with retrieved reports, wrong without | the answer with reports | the answer without |
| use_context, agreeing | right alone and with retrieved reports, wrong with wrong ones | the answer alone | the misled answer |
| resist_context | right alone, wrong with reports | the answer alone | the misled answer |
| call_tool | the agent, left free, looks first | its call | the answer that it gave without |

The two sides of 'look' may be the same words. What differs is the image: the pair asks that the right
answer be likelier for the image that shows it than for noise, which only a trainer that conditions the
rejected side on its own image can learn from (`overread.training.dpo_collate`). MMed-RAG's chosen side is
the reference. Here it is the model's own answer to the real image where that is right, so that no pair
of this kind is told apart by style alone, else the reference.

The agreeing pairs are ours: the same two replies that a 'resist_context' pair sets against a wrong report
stand under a right one, so that what the two kinds teach together is to go by the image, and not to say
the opposite of what a report says.

So is 'call_tool'. All others end in an answer, and a planner that learns nothing else answers where it
should measure (docs/alignment.md). For the same reason both sides of an answering step get one reason
and one citation.

The prompt of 'use_context' and 'resist_context' holds the reports for both sides: what is learnt is how
to answer when they are there. In 'look' it holds the retrieved reports if there are any.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from overread.agent.prompts import Message
from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer
from overread.training.examples import Example, Pair, PairKind
from overread.training.noise import Noise
from overread.training.pair_context import Context
from overread.training.pair_prompts import Form, calls_tools, in_form_of

RIGHT, WRONG = 0.75, 0.25
"""Scores from and up to which an answer counts as right and as wrong; between, it makes no pair."""


@dataclass(frozen=True, slots=True)
class Said:
    """A reply and its prompt.

    Attributes:
        messages: What was asked.
        reply: As it came.
        words: The answer in it; None where there is none.
        score: 0..1; None where no answer could be read.
    """

    messages: list[Message]
    reply: str
    words: str | None
    score: float | None

    @property
    def right(self) -> bool:
        """Whether it is right."""
        return self.score is not None and self.score >= RIGHT

    @property
    def wrong(self) -> bool:
        """Whether it is a wrong answer; an unreadable one teaches form, not truth, and is not."""
        return self.score is not None and self.score <= WRONG


@dataclass(frozen=True, slots=True)
class Trial:
    """All replies to one example.

    Attributes:
        example, item: What was asked, and as it is marked.
        form: How it was asked.
        alone: Without reports. helped: With retrieved ones. misled: With wrong ones.
        blind: As `helped`, else as `alone`, but with a noised image.
        noise: Of that image. wrong_context: What `misled` was told.
        first: The agent's first step as it chose it.
    """

    example: Example
    item: Item
    form: Form
    alone: Said
    helped: Said | None = None
    misled: Said | None = None
    blind: Said | None = None
    noise: Noise | None = None
    wrong_context: Context | None = None
    first: str | None = None


def mark(item: Item, form: Form, messages: list[Message], reply: str) -> Said:
    """Return a reply with its score by the evaluation's metrics."""
    words = form.words(reply)
    if words is None:
        return Said(messages, reply, None, None)
    scores = score_answer(item, words)
    unread = scores.values.get("unparsed", 0.0) > 0.0
    return Said(messages, reply, words, None if unread else scores.values[scores.main])


def pairs_of(trial: Trial) -> list[Pair]:
    """Return the pairs that a trial makes; none, one or several."""
    return [*_look(trial), *_use_context(trial), *_resist_context(trial), *_call_tool(trial)]


def _look(trial: Trial) -> Iterator[Pair]:
    blind, noise = trial.blind, trial.noise
    if blind is None or noise is None or not blind.right:
        return
    seen = trial.helped or trial.alone
    chosen = seen.reply if seen.right else trial.form.gold(trial.item)
    if chosen is not None:
        yield _pair(
            trial, "look", "", blind.messages, chosen, blind.reply,
            rejected_images=trial.example.images, noise=noise.facts(),
        )  # fmt: skip


def _use_context(trial: Trial) -> Iterator[Pair]:
    helped, misled = trial.helped, trial.misled
    if helped is None or not helped.right:
        return
    if trial.alone.wrong:
        replies = helped.reply, in_form_of(trial.alone.reply, helped.reply)
        yield _pair(trial, "use_context", "", helped.messages, *replies)
    elif trial.alone.right and misled is not None and misled.wrong:
        chosen, rejected = (in_form_of(said.reply, helped.reply) for said in (trial.alone, misled))
        yield _pair(trial, "use_context", "agreeing", helped.messages, chosen, rejected)


def _resist_context(trial: Trial) -> Iterator[Pair]:
    for name, said in (("retrieved", trial.helped), ("wrong", trial.misled)):
        if said is not None and said.wrong and trial.alone.right:
            replies = in_form_of(trial.alone.reply, said.reply), said.reply
            yield _pair(trial, "resist_context", name, said.messages, *replies)


def _call_tool(trial: Trial) -> Iterator[Pair]:
    alone, first = trial.alone, trial.first
    if first is not None and alone.words is not None and calls_tools(first):
        yield _pair(trial, "call_tool", "", alone.messages, first, alone.reply)


def _pair(
    trial: Trial,
    kind: PairKind,
    context: str,
    messages: list[Message],
    chosen: str,
    rejected: str,
    **more: object,
) -> Pair:
    example = trial.example
    parts = [example.dataset, example.id, trial.form.name, kind, context]
    return Pair.model_validate(
        {
            "id": ":".join(part for part in parts if part),
            "dataset": example.dataset,
            "kind": kind,
            "task": example.task,
            "patient": example.patient,
            "split": example.split,
            "messages": messages,
            "images": example.images,
            "chosen": chosen,
            "rejected": rejected,
            **more,
        }
    )
