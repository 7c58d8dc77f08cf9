"""The Gradio app: what happens on which event. A question itself runs in `turn.py`."""

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from overread.agent.assistant import Assistant
from overread.imaging.errors import ConfigError
from overread.tools.base import Artifact
from overread.ui.evidence_view import evidence_cards
from overread.ui.examples import make_examples
from overread.ui.files import sweep
from overread.ui.layout import chat_message, lay_out
from overread.ui.theme import CSS, theme
from overread.ui.turn import Turns
from overread.ui.view import View

Turn = Callable[[View, str, list[Path]], AsyncIterator[View]]

CONCURRENT_TURNS = 4
KEEP_UPLOADS_S = 24 * 3600
MAX_UPLOAD = "512mb"


def launch(assistant: Assistant, host: str, port: int) -> None:
    """Serve the app until it is interrupted.

    Raises:
        ConfigError: The port was taken meanwhile.
    """
    data, artifacts = assistant.resources.data, assistant.resources.artifacts
    artifacts.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    sweep(data / "uploads", KEEP_UPLOADS_S)
    app = build_app(
        Turns(assistant, downloads=data / "uploads" / "reports"),
        artifacts.path,
        make_examples(data / "examples"),
        assistant.config.agent.max_question_chars,
    )
    try:
        app.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            allowed_paths=[str(artifacts.root)],
            max_file_size=MAX_UPLOAD,
            footer_links=[],
            run_history=False,  # it would keep the images in the browser
            theme=theme(),
            css_paths=[CSS],
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise ConfigError(
            f"the app cannot listen at port {port}; choose another with --port"
        ) from error
    try:
        threading.Event().wait()
    finally:
        app.close(verbose=False)


def build_app(
    turn: Turn, locate: Callable[[Artifact], Path], examples: list[Any], max_question_chars: int
) -> gr.Blocks:
    """Return the app.

    Args:
        turn: Answers one question, yielding the view whenever it changed.
        locate: Where an artifact's file is (`ArtifactStore.path`).
        examples: Shown before the first question.
        max_question_chars: Of one question.
    """
    with gr.Blocks(
        title="Overread",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(3600, KEEP_UPLOADS_S),
    ) as app:
        parts = lay_out(examples, max_question_chars)
        outputs = [
            parts.box, parts.chat, parts.pictures, parts.evidence, parts.report, parts.view,
        ]  # fmt: skip

        def show(view: View, box: Any = None) -> list[Any]:
            report = str(view.report) if view.report else None
            return [
                box or gr.MultimodalTextbox(submit_btn=True, stop_btn=False),
                [chat_message(message) for message in view.messages],
                [(str(path), caption) for path, caption in view.pictures],
                evidence_cards(view.evidence, locate),
                gr.DownloadButton(value=report, interactive=report is not None),
                view,
            ]

        async def answer(asked: dict[str, Any], view: View) -> AsyncIterator[list[Any]]:
            files = [Path(name) for name in asked["files"]]
            box: Any = gr.MultimodalTextbox(value=None, submit_btn=False, stop_btn=True)
            async for changed in turn(view, asked["text"], files):
                yield show(changed, box)
                box = gr.skip()  # what the user types meanwhile stays
            yield show(view)

        def stopped(view: View) -> list[Any]:
            view.stop()
            return show(view)

        def failed(view: View) -> list[Any]:
            view.settle()
            view.say("Something went wrong inside Overread; its terminal says what.")
            return show(view)

        def take_example(chosen: gr.SelectData) -> dict[str, Any]:
            files = [file["path"] for file in chosen.value.get("files", [])]
            return {"text": chosen.value["text"], "files": files}

        hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        running = parts.box.submit(
            answer, [parts.box, parts.view], outputs, concurrency_limit=CONCURRENT_TURNS, **hidden
        )
        running.failure(failed, parts.view, outputs, **hidden)
        parts.box.stop(stopped, parts.view, outputs, cancels=running, **hidden)
        parts.again.click(lambda: show(View()), None, outputs, cancels=running, **hidden)
        parts.chat.example_select(take_example, None, parts.box, **hidden)
    return app
