"""Where sessions are kept: one SQLite file of checkpoints, one lock a session."""

import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from overread.agent.locks import held
from overread.imaging.errors import ConfigError, InputError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def new_session_id() -> str:
    """Return a fresh, unguessable id."""
    return f"s-{secrets.token_hex(8)}"


def check_session_id(session: str) -> str:
    """Return the id.

    Raises:
        InputError: It is not 1 to 64 letters, digits, `-` or `_`.
    """
    if not _ID.fullmatch(session):
        raise InputError(
            f"'{session:.80}' is not a session id; use 1 to 64 letters, digits, '-' or '_'"
        )
    return session


@asynccontextmanager
async def open_sessions(data: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """Open the checkpoints of all sessions.

    Checkpoints are msgpack of plain JSON types: nothing else is decoded, no pickle, no class of
    anybody's.

    Raises:
        ConfigError: The file is not a database, or cannot be written.
    """
    path = data / "sessions.sqlite"
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = await aiosqlite.connect(path, timeout=30)
    except (OSError, aiosqlite.Error) as error:
        raise ConfigError(f"the sessions file {path} cannot be opened: {error}") from error
    try:
        serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
        saver = AsyncSqliteSaver(connection, serde=serde)
        try:
            await saver.setup()
            # With WAL a killed process loses nothing; only a power cut may lose the last step.
            await connection.execute("PRAGMA synchronous=NORMAL")
            # What is deleted is overwritten with zeros, not only unlinked.
            await connection.execute("PRAGMA secure_delete=ON")
        except aiosqlite.Error as error:
            raise ConfigError(
                f"the sessions file {path} is damaged ({error}); move it away to start afresh"
            ) from error
        yield saver
    finally:
        await connection.close()


@contextmanager
def only_user(data: Path, session: str) -> Iterator[None]:
    """Hold a session; the kernel lets go of it when the process dies, however it dies.

    Raises:
        InputError: Another question is being answered in it.
    """
    folder = data / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    busy = f"session {session} is answering another question; wait, or start a new session"
    with held(folder / f"{session}.lock", busy):
        yield


def report_thread(session: str) -> str:
    """Return the thread of a session's report; a slash is in no session's id."""
    return f"{session}/report"


async def forget(saver: BaseCheckpointSaver[str], data: Path, session: str) -> None:
    """Delete a session, its report and its lock; call it while holding the session."""
    await saver.adelete_thread(session)
    await saver.adelete_thread(report_thread(session))
    if isinstance(saver, AsyncSqliteSaver):
        async with saver.lock:  # the write-ahead log would keep the words until it is full
            await saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (data / "locks" / f"{session}.lock").unlink(missing_ok=True)


def remembered(data: Path, prefix: str) -> list[str]:
    """Return the ids that begin with `prefix` of the sessions that were not forgotten."""
    return sorted(file.stem for file in (data / "locks").glob(f"{prefix}*.lock"))


async def threads(saver: BaseCheckpointSaver[str]) -> list[str]:
    """Return the ids of all sessions that have a checkpoint; reports are not sessions."""
    if isinstance(saver, AsyncSqliteSaver):  # without reading the checkpoints themselves
        query = "SELECT DISTINCT thread_id FROM checkpoints"
        async with saver.lock, saver.conn.execute(query) as rows:
            found = {str(row[0]) async for row in rows}
    else:
        found = {item.config["configurable"]["thread_id"] async for item in saver.alist(None)}
    return sorted(name for name in found if "/" not in name)
