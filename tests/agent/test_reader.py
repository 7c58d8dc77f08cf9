"""Outlines of the reader's as evidence, and going back to an earlier position of a session."""

import math
from dataclasses import replace

import numpy as np
import pytest

from overread.agent.reader import Outlined
from overread.imaging.errors import InputError
from overread.imaging.study import ImageRef, Plane, Series, Study
from tests.agent.said import NODULE, QUESTION, YES, answer
from tests.tools.test_follow import MIDDLE, NUMBER, RADIUS, STEP, ball


def register(assistant, picture):
    from overread.agent.intake import register

    return register(assistant.resources, [picture], 4)[0]


def square(assistant, ref, rows=slice(4, 14)):
    mask = np.zeros(assistant.resources.archive.load(ref).shape, bool)
    mask[rows, 5:15] = True
    return mask


def test_an_outline_of_the_readers_is_evidence_that_an_answer_may_cite(
    planner, make_assistant, picture
):
    assistant = make_assistant()
    ref = register(assistant, picture)
    entry = assistant.outline("s", Outlined(ref, "my shadow", square(assistant, ref)))
    assert (entry.id, entry.tool, entry.confidence) == ("E2", "reader", None)
    assert entry.content.startswith("outlined by the reader: my shadow in image 1: found, area")
    assert {artifact.kind for artifact in entry.artifacts} == {"overlay", "mask"}
    planner.say(answer("My shadow is outlined [E2]."))
    said = assistant.ask("What is outlined?", [ref], "s")
    assert said.text == "My shadow is outlined [E2]."
    assert [item.id for item in said.evidence] == ["E1", "E2"]
    assert "[E2] outlined by the reader" in planner.texts()[1]


@pytest.mark.parametrize(
    "name, rows", [("", slice(4, 14)), ("x", slice(0, 0)), ("n" * 61, slice(2))]
)
def test_an_outline_without_name_or_pixels_is_refused(make_assistant, picture, name, rows):
    assistant = make_assistant()
    ref = register(assistant, picture)
    with pytest.raises(InputError):
        assistant.outline("s", Outlined(ref, name, square(assistant, ref, rows)))
    assert assistant.position("s") is None


def test_an_outline_of_another_shape_is_refused(make_assistant, picture):
    assistant = make_assistant()
    ref = register(assistant, picture)
    with pytest.raises(InputError, match="shape"):
        assistant.outline("s", Outlined(ref, "x", np.ones((2, 2), bool)))


def test_an_outline_is_carried_through_its_series(make_assistant, picture):
    assistant = make_assistant()
    images, truths = ball()
    series = Series("s0", "MR", tuple(images), slice_spacing_mm=STEP)
    assistant.resources.archive.add([Study("st", "p", (series,))])
    drawn = Outlined(images[MIDDLE].ref, "ball", truths[MIDDLE], None, carried=True)
    entry = assistant.outline("s", drawn)
    truth = 4 / 3 * math.pi * RADIUS**3 / 1000
    assert entry.values["volume_ml"] == pytest.approx(truth, rel=0.15)
    assert entry.values["slices_of"] == NUMBER
    assert f"carried through {entry.values['slices']} of {NUMBER} images" in entry.content
    assert "ml" in entry.content
    assert [artifact.kind for artifact in entry.artifacts] == ["overlay", "mask", "contact_sheet"]
    single = register(assistant, picture)
    with pytest.raises(InputError, match="single image"):
        assistant.outline("t", Outlined(single, "x", square(assistant, single), None, carried=True))


def test_an_outline_that_is_carried_over_a_gap_tells_why_it_has_no_volume(make_assistant):
    assistant = make_assistant()
    images, truths = ball()
    placed = [
        replace(image, plane=Plane((0.0, 0.0, STEP * n), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), "f"))
        for n, image in enumerate(images)
    ]
    series = Series("s0", "MR", (*placed[:6], *placed[7:]), slice_spacing_mm=STEP)
    assistant.resources.archive.add([Study("st", "p", (series,))])
    drawn = Outlined(images[MIDDLE].ref, "ball", truths[MIDDLE], None, carried=True)
    entry = assistant.outline("s", drawn)
    assert "volume_ml" not in entry.values and entry.values["slices_of"] == NUMBER - 1
    assert (
        "no volume: slices 6 and 7 of the series are 8 mm apart, the others 4 mm" in entry.content
    )


async def test_a_session_goes_back_to_an_earlier_position(planner, make_assistant, picture):
    assistant = make_assistant()
    planner.say(NODULE, YES)
    assistant.ask(QUESTION, [picture], "s")
    back = assistant.position("s")
    planner.say(answer("The mean is 7 [E2]."), answer("The mean is 7 [E2]."))
    assistant.ask("Wrong?", session="s")
    planner.say(YES)
    events = [event async for event in assistant.astream("Again?", session="s", at=back)]
    assert "nodule" in events[-1].answer.text
    told = " ".join(planner.texts())
    assert "Wrong?" not in told and "Question: Again?" in told
    planner.say(YES)
    assistant.ask("And now?", session="s")
    assert "Wrong?" not in " ".join(planner.texts())


def test_others_tells_what_other_sessions_refer_to(make_assistant, picture, dark_picture):
    assistant = make_assistant()
    one, two = (register(assistant, file) for file in (picture, dark_picture))
    first = assistant.outline("one", Outlined(one, "x", square(assistant, one)))
    assistant.outline("two", Outlined(two, "x", square(assistant, two)))
    artifacts, studies = assistant.others(["two"])
    assert studies == {one.study_id} and isinstance(one, ImageRef)
    assert artifacts == {artifact.path for artifact in first.artifacts}
