"""Where things are: studies at the left, the viewer over the evidence, the conversation beside it."""

import html
import json
from dataclasses import dataclass

import gradio as gr

from overread.ui.evidence_view import evidence_cards
from overread.ui.report_editing import MAX_CHARS, status
from overread.ui.rooms import Room
from overread.ui.terminal import RESEARCH_USE

HEADER = f"""
<header id="header"><h1 class="name">Overread</h1>
<span class="tag">a second reader for medical images that shows its work</span>
<span class="research" role="note">{RESEARCH_USE}</span>
<nav id="menu" aria-label="Application"></nav></header>
"""
PLACEHOLDER = """
### Ask about an image
Open your own images, or a synthetic example at the left. Then ask.

The answer cites numbered evidence; a click on a citation shows it in the viewer.
"""
STUDIES = '<div id="studies" aria-label="Studies and sessions"></div>'
VIEWER = '<div id="viewer" aria-label="Image viewer"></div>'
CONSENT = "My ratings and edits of this session may be used to train models on this machine."
_ON_LOAD = """
window.overreadOpen = (session) => trigger('open', {session: session});
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """The components that change."""

    session: gr.State
    marker: gr.HTML
    shown: gr.Textbox
    upload: gr.UploadButton
    chat: gr.Chatbot
    box: gr.MultimodalTextbox
    evidence: gr.HTML
    report: gr.Textbox
    report_status: gr.HTML
    report_diff: gr.HTML
    draft: gr.Button
    save: gr.Button
    sign: gr.Button
    consent: gr.Checkbox


def lay_out(max_question_chars: int) -> Layout:
    """Place all components; call it inside `gr.Blocks`.

    Args:
        max_question_chars: A longer text that is pasted becomes a file.
    """
    gr.HTML(HEADER, padding=False)
    session = gr.State("")
    marker = gr.HTML("", elem_id="marker", js_on_load=_ON_LOAD)
    shown = gr.Textbox(visible="hidden")
    with gr.Row(equal_height=False, elem_id="room"):
        with gr.Column(min_width=120, elem_id="left"):
            upload = gr.UploadButton(
                "Open images", file_count="multiple", size="sm", elem_id="upload"
            )
            gr.HTML(STUDIES, padding=False, elem_id="studies-panel")
        with gr.Column(min_width=300, elem_id="middle"):
            gr.HTML(VIEWER, padding=False, elem_id="viewer-panel")
            evidence = gr.HTML(evidence_cards([]), padding=False, elem_id="evidence")
        with gr.Column(min_width=300, elem_id="right"), gr.Tabs(elem_id="tabs"):
            with gr.Tab("Conversation", elem_id="conversation"):
                chat = _chat()
                box = gr.MultimodalTextbox(
                    elem_id="ask",
                    label="Question",
                    show_label=False,
                    placeholder="Ask about the image in the viewer…",
                    file_count="multiple",
                    max_plain_text_length=max_question_chars,
                    stop_btn=False,
                    autofocus=False,
                )
                consent = gr.Checkbox(False, label=CONSENT, container=False, elem_id="consent")
            with gr.Tab("Report", elem_id="report-tab"):
                report_status = gr.HTML(status("", None), elem_id="report-status")
                report = gr.Textbox(
                    label="Report (Markdown)",
                    lines=14,
                    max_lines=22,
                    max_length=MAX_CHARS,
                    interactive=False,
                    elem_id="report",
                )
                with gr.Row():
                    draft = gr.Button("Draft", size="sm", elem_id="draft-report")
                    save = gr.Button("Save", size="sm", interactive=False, elem_id="save-report")
                    sign = gr.Button(
                        "Sign", size="sm", variant="primary", interactive=False, elem_id="sign"
                    )
                report_diff = gr.HTML("", elem_id="report-diff")
    return Layout(
        session, marker, shown, upload, chat, box, evidence,
        report, report_status, report_diff, draft, save, sign, consent,
    )  # fmt: skip


def mark(room: Room, user: str) -> str:
    """Return what tells the page's scripts which session is shown, and that it changed."""
    facts = {
        "session": room.id,
        "user": user,
        "version": f"{len(room.evidence)}-{len(room.images)}-{len(room.turns)}-{room.changed}",
        "report": room.report is not None,
        "used": bool(room.turns or room.images or room.evidence),
    }
    return f'<div id="mark" data-facts="{html.escape(json.dumps(facts))}"></div>'


def _chat() -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="chat",
        label="Conversation",
        show_label=False,
        layout="panel",
        placeholder=PLACEHOLDER,
        latex_delimiters=[],
        allow_tags=False,
        editable="user",
        feedback_options=["Like", "Dislike"],
        allow_file_downloads=False,
        buttons=["copy"],
    )
