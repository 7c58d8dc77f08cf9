"""Put one example to a model in all the ways that pairs and measures need: alone, with reports, blind."""

from overread.agent.prompts import Message
from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.imaging.errors import NoUsableReply
from overread.training.asking import Asker, ReplyForm
from overread.training.examples import Example, open_image
from overread.training.noise import Noise, noised
from overread.training.pair_context import Context, ContextPool
from overread.training.pair_kinds import Said, Trial, mark
from overread.training.pair_prompts import Form, form_of
from overread.training.rewards.reference import item_of

MARKED = ("choice", "closed", "number", "open")
"""Kinds of answers that are right or wrong; a report is neither."""


def item_to_mark(example: Example) -> Item | None:
    """Return an example as it is marked; None where nothing says that an answer is wrong."""
    if not (example.reference.get("answers") or example.reference.get("answer")):
        return None
    item = item_of(example, "open")
    return item if item.kind in MARKED else None


async def try_example(
    example: Example,
    item: Item,
    asker: Asker,
    pool: ContextPool | None,
    noise: Noise | None,
    freely: bool = False,
) -> Trial:
    """Return what the model says to an example.

    It is asked with a wrong context only where it is right alone: elsewhere nothing follows from it.

    Args:
        example: To be asked.
        item: The example as it is marked.
        asker: The model.
        pool: Of reports; None asks without any.
        noise: Of the image that hides what is asked about; None does not ask so.
        freely: Whether the agent is also asked for the first step that it would choose.

    Raises:
        PlannerUnavailable: The model gave no reply.
    """
    form = form_of(example)
    right: Context | None = None
    wrong: Context | None = None
    if pool is not None and example.images:
        right = await in_thread(lambda: pool.retrieved(example))
        wrong = await in_thread(lambda: pool.wrong(example, item))

    async def ask(messages: list[Message], hidden: Noise | None = None) -> Said:
        return await _ask(example, item, form, asker, messages, hidden)

    alone = await ask(form.prompt(example, None))
    helped = misled = blind = None
    if right is not None:
        helped = await ask(form.prompt(example, right))
    if wrong is not None and alone.right:
        misled = await ask(form.prompt(example, wrong))
    if noise is not None and example.images:
        blind = await ask((helped or alone).messages, noise)
    first = None
    if freely and form.name == "agent":
        first = await _reply(example, asker, alone.messages, "step", None)
    return Trial(example, item, form, alone, helped, misled, blind, noise, wrong, first)


async def _ask(
    example: Example,
    item: Item,
    form: Form,
    asker: Asker,
    messages: list[Message],
    noise: Noise | None,
) -> Said:
    as_what: ReplyForm = "answer" if form.name == "agent" else "words"
    reply = await _reply(example, asker, messages, as_what, noise)
    return Said(messages, "", None, None) if reply is None else mark(item, form, messages, reply)


async def _reply(
    example: Example,
    asker: Asker,
    messages: list[Message],
    form: ReplyForm,
    noise: Noise | None,
) -> str | None:
    pictures = await in_thread(lambda: [open_image(ref) for ref in example.images])
    if noise is not None:
        pictures = [noised(picture, noise) for picture in pictures]
    try:
        return await asker.reply(messages, pictures, form)
    except NoUsableReply:
        return None
