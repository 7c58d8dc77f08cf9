"""Reports of sessions: drafted from evidence, edited and signed by a person, over restarts."""

from datetime import UTC, datetime

import pytest

from overread.imaging.errors import InputError, UnknownReference
from overread.tools.reporting.markdown import render
from tests.agent.said import NODULE, QUESTION, YES, answer, call


@pytest.fixture
def asked(planner, make_assistant, picture):
    """An assistant with a session "s" in which a nodule was found."""
    assistant = make_assistant()
    planner.say(NODULE, YES)
    assistant.ask(QUESTION, [picture], "s")
    return assistant


def told(report):
    return [str(statement) for region in report.findings for statement in region.statements]


def test_a_draft_cites_the_sessions_evidence(asked):
    report = asked.reports.draft("s")
    assert report.status == "draft" and told(report) == ["Nodule: found. [E2]"]
    assert report.image.startswith("st-")
    assert [entry.id for entry in report.evidence] == ["E1", "E2"]
    assert asked.reports.draft("s") == report


def test_an_untouched_draft_follows_the_evidence(asked, planner):
    asked.reports.draft("s")
    planner.say(call("find", image=1, target="mass"), answer("There is no mass [E3]."))
    asked.ask("Is there a mass?", session="s")
    assert told(asked.reports.draft("s"))[-1] == "Mass: not found. [E3]"


def test_an_edited_draft_stays_as_it_is_until_it_is_drafted_anew(asked, planner):
    text = render(asked.reports.draft("s")).replace("Nodule: found", "Nodule: small")
    edited = asked.reports.edit("s", text)
    assert told(edited) == ["Nodule: small. [E2]"]
    planner.say(call("find", image=1, target="mass"), answer("There is no mass [E3]."))
    asked.ask("Is there a mass?", session="s")
    assert asked.reports.draft("s") == edited
    assert told(asked.reports.draft("s", redraft=True))[-1] == "Mass: not found. [E3]"


def test_a_signature_survives_a_restart_and_ends_editing(asked, make_assistant):
    draft = asked.reports.draft("s")
    asked.close()
    after = make_assistant()
    began = datetime.now(UTC).replace(microsecond=0)
    edited = after.reports.edit("s", render(draft).replace("Nodule: found", "Nodule: small"))
    signed = after.reports.sign("s", "  Dr. A.\n Reader ")
    assert (signed.status, signed.signer) == ("signed", "Dr. A. Reader")
    assert signed.signed_at is not None and began <= signed.signed_at <= datetime.now(UTC)
    after.close()
    last = make_assistant()
    assert last.reports.draft("s") == signed
    assert last.reports.versions("s") == [draft, edited, signed]
    with pytest.raises(InputError, match="signed by Dr"):
        last.reports.edit("s", render(signed))
    with pytest.raises(InputError, match="signed by Dr"):
        last.reports.sign("s", "Dr. B")


def test_what_cannot_be_used_changes_nothing(asked):
    draft = asked.reports.draft("s")
    for wrong in ("", "# Title only", "## Opinion\n- fine"):
        with pytest.raises(InputError, match="section"):
            asked.reports.edit("s", wrong)
    for name in ("", " \n", "x" * 65):
        with pytest.raises(InputError, match="1 to 64 characters"):
            asked.reports.sign("s", name)
    assert asked.reports.draft("s") == draft
    assert asked.reports.versions("s") == [draft]


def test_the_planner_is_shown_nothing_of_reports(asked, planner):
    asked.reports.draft("s")
    asked.reports.sign("s", "Dr. A")
    planner.say(call("find", image=1, target="mass"), answer("There is no mass [E3]."))
    asked.ask("Is there a mass?", session="s")
    assert "Dr. A" not in " ".join(planner.texts())


def test_what_is_not_there_is_said(asked, planner, make_assistant, picture):
    with pytest.raises(UnknownReference, match="no session 'nobody'"):
        asked.reports.draft("nobody")
    with pytest.raises(InputError, match="no report yet; draft it first"):
        asked.reports.sign("s", "Dr. A")
    with pytest.raises(InputError, match="no image 2; this session has 1"):
        asked.reports.draft("s", image=2)
    planner.say(answer("There is not enough evidence."))
    asked.ask("Anything?", [picture], "empty")
    with pytest.raises(InputError, match="no evidence about image"):
        asked.reports.draft("empty")


def test_another_image_needs_a_new_draft_once_a_person_edited(asked, planner, dark_picture):
    first = asked.reports.draft("s")
    planner.say(call("find", image=2, target="nodule"), answer("There is no nodule [E4]."))
    asked.ask("And in image 2?", [dark_picture], "s")
    second = asked.reports.draft("s", image=2)
    assert second.image != first.image and told(second) == ["Nodule: not found. [E4]"]
    asked.reports.sign("s", "Dr. A")
    with pytest.raises(InputError, match="--redraft"):
        asked.reports.draft("s", image=1)
    assert asked.reports.draft("s", image=1, redraft=True).image == first.image


def test_a_forgotten_session_takes_its_report_along(asked, data_dir):
    asked.reports.draft("s")
    asked.reports.sign("s", "Dr. Unforgettable")
    asked.forget("s")
    with pytest.raises(UnknownReference):
        asked.reports.draft("s")
    asked.close()
    for file in data_dir.glob("sessions.sqlite*"):
        assert b"Unforgettable" not in file.read_bytes()
