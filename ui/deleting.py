"""Delete a session so that nothing of it is left that no other session needs."""

from overread.agent.assistant import Assistant
from overread.imaging.errors import IndexMismatch
from overread.imaging.study import ImageRef
from overread.ui.desk import Desk
from overread.ui.slices import size_of


def delete_room(desk: Desk, user: str, session: str) -> None:
    """Delete a user's session: words, checkpoints, artifacts, images and feedback.

    What another session refers to stays: artifacts are stored by their content, so two sessions may
    share one. A study that is a case of the index, and the examples, stay, too.

    Raises:
        UnknownReference: This user has no such session.
        InputError: A question is being answered in it.
    """
    assistant, rooms = desk.assistant, desk.rooms
    room = rooms.get(user, session)
    assistant.forget(session)
    rooms.drop(user, session)
    desk.feedback.forget(user, session)
    left = [other for _, other in rooms.all()]
    artifacts, studies = assistant.others([session, *(other.id for other in left)])
    artifacts |= {path for other in left for path in other.artifacts}
    resources = assistant.resources
    for path in set(room.artifacts) - artifacts:
        (resources.artifacts.root / path).unlink(missing_ok=True)
    unused = set(room.images) - {ref for other in left for ref in other.images}
    unused -= {ref for example in desk.examples for ref in example.refs}
    refs = [ImageRef.parse(ref) for ref in unused]
    cases = {study for study in {ref.study_id for ref in refs} if _is_case(assistant, study)}
    resources.archive.remove(ref for ref in refs if ref.study_id not in studies | cases)
    size_of.cache_clear()  # another image may come under the same reference


def _is_case(assistant: Assistant, study: str) -> bool:
    try:
        index = assistant.resources.index()
    except IndexMismatch:
        return True  # what a damaged index holds cannot be told: then nothing is taken from it
    return index is not None and index.holds(study)
