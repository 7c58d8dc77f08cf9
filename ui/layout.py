"""Where things are in the app: the conversation on the left, images and evidence on the right."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from overread.ui.evidence_view import evidence_cards
from overread.ui.terminal import RESEARCH_USE
from overread.ui.view import View

HEADER = f"""
<div id="header"><span class="name">Overread</span>
<span class="tag">a second reader for medical images that shows its work</span>
<span class="research">{RESEARCH_USE}</span></div>
"""
PLACEHOLDER = """
### Ask about an image
Add a PNG, JPEG, DICOM or NIfTI file and a question, or start from an example.
"""
PICTURE_HEIGHT = 300


@dataclass(frozen=True, slots=True)
class Layout:
    """The components that change, and the state of a browser tab."""

    view: gr.State
    chat: gr.Chatbot
    box: gr.MultimodalTextbox
    pictures: gr.Gallery
    evidence: gr.HTML
    report: gr.DownloadButton
    again: gr.Button


def lay_out(examples: list[Any], max_question_chars: int) -> Layout:
    """Place all components; call it inside `gr.Blocks`.

    Args:
        examples: For `gr.Chatbot`: a text, an image file and an icon each.
        max_question_chars: A longer text that is pasted becomes a file.
    """
    view = gr.State(View())
    gr.HTML(HEADER, padding=False)
    with gr.Row(equal_height=False):
        with gr.Column(scale=13, min_width=480, elem_id="left"):
            chat = _chat(examples)
            box = gr.MultimodalTextbox(
                elem_id="ask",
                show_label=False,
                placeholder="Ask about the image…",
                file_count="multiple",
                max_plain_text_length=max_question_chars,
                stop_btn=False,
                autofocus=True,
            )
        with gr.Column(scale=8, min_width=340, elem_id="side"):
            pictures = _gallery()
            evidence = gr.HTML(evidence_cards([]), padding=False, elem_id="evidence")
            with gr.Row():
                report = gr.DownloadButton(
                    "Download report", size="md", interactive=False, elem_id="report"
                )
                again = gr.Button("New session", size="md", elem_id="again")
    return Layout(view, chat, box, pictures, evidence, report, again)


def _chat(examples: list[Any]) -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="chat",
        show_label=False,
        layout="panel",
        placeholder=PLACEHOLDER,
        examples=examples,
        latex_delimiters=[],
        allow_tags=False,
        feedback_options=None,
        allow_file_downloads=False,
        buttons=["copy_all"],
    )


def _gallery() -> gr.Gallery:
    return gr.Gallery(
        label="Images",
        elem_id="pictures",
        columns=2,
        fit_columns=False,
        height=292,
        object_fit="contain",
        buttons=["download", "fullscreen"],
        interactive=False,
    )


def chat_message(message: dict[str, Any]) -> dict[str, Any]:
    """Turn a picture of the conversation into a component without a button to share it."""
    content = message["content"]
    if isinstance(content, str):
        return message
    picture = gr.Image(
        content["path"],
        label=content["alt_text"],
        height=PICTURE_HEIGHT,
        buttons=["fullscreen"],
        interactive=False,
        render=False,
    )
    return message | {"content": picture}
