"""The reading room as one web application: gate, login, viewer routes, and Gradio behind them."""

import asyncio
import html
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import gradio as gr
from fastapi import Depends, FastAPI, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from overread import __version__
from overread.agent.assistant import Assistant
from overread.agent.listening import run_until_signal
from overread.imaging.errors import InputError, OverreadError
from overread.ui.access import COOKIE, SESSION_S, Access, LocalAccess, PasswordAccess
from overread.ui.app import KEEP_UPLOADS_S, App
from overread.ui.belongings import Belongings
from overread.ui.desk import Desk
from overread.ui.examples import make_examples
from overread.ui.files import sweep
from overread.ui.gate import USER, Gate
from overread.ui.routes import make_routes, only_ours, tell_error
from overread.ui.theme import CSS, theme

STATIC = Path(__file__).with_name("static")
LOGIN_PAGE = Path(__file__).with_name("login.html")
HEAD = f'<script type="module" src="/reading/static/room.js?v={__version__}"></script>'
_LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
_GRACE_S = 2


def create_app(assistant: Assistant, access: Access, max_upload_mb: int) -> FastAPI:
    """Return the application.

    Args:
        assistant: The agent.
        access: Tells who is asking.
        max_upload_mb: Of one file.
    """
    data = assistant.resources.data
    sweep(data / "uploads", KEEP_UPLOADS_S)
    examples = make_examples(assistant.resources, data / "examples")
    desk = Desk.of(assistant, examples)
    app = FastAPI(
        title="Overread", version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.desk = desk
    app.add_exception_handler(OverreadError, tell_error)
    app.mount("/reading/static", StaticFiles(directory=STATIC))
    app.include_router(make_routes(desk))
    if isinstance(access, PasswordAccess):
        _add_login(app, access)
    belongings = Belongings()
    gr.mount_gradio_app(
        app,
        App(desk, belongings).build(),
        path="/",
        auth_dependency=lambda request: request.scope.get(USER),
        max_file_size=f"{max_upload_mb}mb",
        footer_links=[],
        run_history=False,  # it would keep the images in the browser
        ssr_mode=False,
        show_error=False,
        theme=theme(),
        css_paths=[CSS],
        head=HEAD,
    )
    app.add_middleware(Gate, access=access, belongings=belongings)
    if isinstance(access, LocalAccess):  # another site's name that points here is not for us
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=_LOCAL_HOSTS)
    return app


def serve(app: FastAPI, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; questions on their way are given up."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    run_until_signal(app, listening, on_ready, _GRACE_S)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the log is more than that open pages lost the app when it was stopped."""
    cancelled = record.exc_info and record.exc_info[0] is asyncio.CancelledError
    return not cancelled and not record.getMessage().startswith("Cancel ")


def _add_login(app: FastAPI, access: PasswordAccess) -> None:
    page = LOGIN_PAGE.read_text("utf-8")

    def form(error: str, status: int) -> HTMLResponse:
        return HTMLResponse(page.replace("{error}", html.escape(error)), status)

    @app.get("/login")
    def login_page() -> HTMLResponse:
        return form("", 200)

    @app.post("/login")
    def log_in(
        request: Request, username: Annotated[str, Form()], password: Annotated[str, Form()]
    ) -> Response:
        try:
            token = access.log_in(username, password)
        except InputError as error:
            return form(str(error), 429)
        if token is None:
            return form("User and password do not belong together.", 401)
        browser = "text/html" in request.headers.get("accept", "")
        reply = RedirectResponse("/", 303) if browser else JSONResponse({"success": True})
        secure = request.url.scheme == "https"
        reply.set_cookie(COOKIE, token, SESSION_S, httponly=True, samesite="strict", secure=secure)
        return reply

    @app.post("/reading/logout", dependencies=[Depends(only_ours)])
    def log_out(request: Request) -> Response:
        access.log_out(dict(request.scope))
        reply = JSONResponse({"success": True})
        reply.delete_cookie(COOKIE)
        return reply
