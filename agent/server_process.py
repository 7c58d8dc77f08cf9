"""A server as a process group: start it, remember it, say why it died, stop all of it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import psutil

from overread.imaging.files import write_whole

_GRACE_S = 15.0
# "(EngineCore pid=7) ERROR 11-24 07:00:00 [core.py:9] " and the like, before the message.
_PREFIX = re.compile(
    r"^(?:\([^)]*pid=\d+\)\s*)?(?:(?:ERROR|INFO|WARNING|DEBUG|CRITICAL)\s+\d\d-\d\d [\d:.]+\s+"
    r"(?:\[[^\]]*\]\s*)?)?"
)
_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|error)\b:? ?(.*)")
_HOLLOW = ("Engine core initialization failed", "EngineCore failed", "See root cause")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server.

    Attributes:
        pid: Of the leader of its process group.
        created: When the process began, as the system tells it: a pid may be given out again.
        model: The name it serves. port: Where.
    """

    pid: int
    created: float
    model: str
    port: int

    @classmethod
    def start(
        cls, command: Sequence[str], env: Mapping[str, str], log: Path, model: str, port: int
    ) -> Self:
        """Start a command in a session of its own; output goes to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(process.pid, psutil.Process(process.pid).create_time(), model, port)

    @classmethod
    def recall(cls, path: Path) -> Self | None:
        """Return the server that a pid file remembers, if it still runs."""
        try:
            server = cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return server if server.is_alive() else None

    def remember(self, path: Path) -> None:
        """Write the pid file."""
        write_whole(path, json.dumps(asdict(self)))

    def is_alive(self) -> bool:
        """Return whether this very process still runs."""
        with suppress(ChildProcessError):  # reap it if it is our child and has ended
            os.waitpid(self.pid, os.WNOHANG)
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def argument(self, name: str) -> str | None:
        """Return what follows an argument on the command line, e.g. "float32" for "--dtype"."""
        try:
            line = psutil.Process(self.pid).cmdline()
        except psutil.Error:
            return None
        return next((value for key, value in pairwise(line) if key == name), None)

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """End the whole process group: politely, then by force."""
        members = self._members()
        if not members:
            return
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            self.is_alive()
            if not any(_runs(member) for member in members):
                return
            time.sleep(0.1)
        self._signal(signal.SIGKILL)
        for member in members:
            with suppress(psutil.Error):
                member.kill()
        psutil.wait_procs(members, timeout=5)
        self.is_alive()

    def _members(self) -> list[psutil.Process]:
        """Return the processes of the group, also when its leader is gone."""
        try:
            if abs(psutil.Process(self.pid).create_time() - self.created) >= 1.0:
                return []
        except psutil.NoSuchProcess:
            pass
        members = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                if os.getpgid(process.pid) == self.pid:
                    members.append(process)
        return members

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def last_words(log: Path) -> str:
    """Return the line of a log that best says why the program died."""
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return "no log was written"
    plain = [text for line in lines if (text := _PREFIX.sub("", line).strip())]
    for number in range(len(plain) - 1, -1, -1):
        found = _ERROR.match(plain[number])
        if found and found.group(1) and not any(word in plain[number] for word in _HOLLOW):
            # pydantic tells the reason on the line after
            more = plain[number + 1 : number + 2] if "validation error" in plain[number] else []
            return " ".join([found.group(1), *more] if more else [plain[number]])[:300]
    return plain[-1][:300] if plain else "its log is empty"
