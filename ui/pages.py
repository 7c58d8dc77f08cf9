"""Which session each open page shows: a question that ends does not call its page back."""

from collections import OrderedDict

import gradio as gr

from overread.ui.rooms import Room

_MOST = 10_000


class Pages:
    """What the pages show, by Gradio's hash of each; the oldest are forgotten."""

    def __init__(self) -> None:
        """Know of none."""
        self._shown: OrderedDict[str, str] = OrderedDict()

    def show(self, request: gr.Request, room: Room) -> None:
        """Note that a page shows a room."""
        self._shown[str(request.session_hash)] = room.id
        self._shown.move_to_end(str(request.session_hash))
        while len(self._shown) > _MOST:
            self._shown.popitem(last=False)

    def shows(self, request: gr.Request, room: Room) -> bool:
        """Whether a page shows a room."""
        return self._shown.get(str(request.session_hash)) == room.id
