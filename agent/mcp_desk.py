"""What a client of the MCP server works with: images it opened, and the evidence tools gave.

The client holds a handle, which nobody can guess; with it go all its images, evidence and files.
"""

import asyncio
import base64
import binascii
import re
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from overread.agent.config import Config
from overread.agent.intake import describe, register
from overread.agent.ledger import Ledger
from overread.agent.resources import Resources
from overread.agent.steps import ToolCall
from overread.agent.threads import in_thread
from overread.agent.toolrun import run_calls
from overread.imaging.errors import InputError, OverreadError, UnknownReference
from overread.imaging.study import ImageRef
from overread.tools.base import Artifact, Evidence
from overread.tools.fence import clean
from overread.tools.registry import build_tools

_SUFFIX = re.compile(r"(?:\.[A-Za-z0-9]{1,5}){1,2}$")


@dataclass(eq=False)
class Case:
    """The images of one client and what was found in them."""

    images: list[ImageRef] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def artifacts(self) -> list[Artifact]:
        """Return the files of its evidence, each once."""
        return list(dict.fromkeys(a for entry in self.ledger for a in entry.artifacts))


class Desk:
    """Opens images and runs tools for clients that do not know of each other."""

    def __init__(self, config: Config, resources: Resources, folders: Sequence[Path]) -> None:
        """Serve images below `folders`, and such as are sent.

        Raises:
            InputError: One of them is not a folder.
        """
        self._config, self._resources = config, resources
        self._folders = [folder.expanduser().resolve() for folder in folders]
        for folder in self._folders:
            if not folder.is_dir():
                raise InputError(f"{folder} is not a folder; give one that holds images")
        self._cases: OrderedDict[str, Case] = OrderedDict()

    def tools(self) -> list[BaseTool]:
        """Return the tools that are offered; their schemas are the same for every case."""
        return self._build(Case())

    def case(self, handle: str) -> Case:
        """Return the case of a handle.

        Raises:
            UnknownReference: There is none, or it was dropped for newer ones.
        """
        for known, case in self._cases.items():
            if secrets.compare_digest(known.encode(), handle.encode()):
                self._cases.move_to_end(known)
                return case
        raise UnknownReference("there is no such session; open_image starts one")

    async def open(
        self, handle: str | None, path: str | None, content: str | None, name: str
    ) -> tuple[str, list[Evidence]]:
        """Take an image in, by its path or its content.

        Args:
            handle: The case it joins; a new one if None.
            path: Below one of the folders.
            content: The file in base64, instead of a path.
            name: Of the file that `content` is; only its suffix is used.

        Returns:
            The handle, and what the file says of each image in it.

        Raises:
            InputError: Both or none of path and content, a path outside, or too large.
            UnreadableImage: It is not an image.
        """
        if (path is None) == (content is None):
            raise InputError("give either path or content")
        case = Case() if handle is None else self.case(handle)
        async with case.lock:
            if path is not None:
                where = self._allowed(path)
                refs = await in_thread(lambda: self._register([where], case))
            else:
                refs = await in_thread(lambda: self._register_content(content or "", name, case))
            fresh = [ref for ref in refs if ref not in case.images]
            found = []
            for ref in fresh:
                case.images.append(ref)
                number = len(case.images)
                said, result = await in_thread(
                    lambda ref=ref, number=number: describe(self._resources, ref, number)  # type: ignore[misc]
                )
                found.append(case.ledger.append("intake", {"image": number}, clean(said), result))
            if not fresh:
                raise InputError("this image is open already in this session")
        return handle or self._keep(case), found

    async def call(self, handle: str, tool: str, arguments: dict[str, Any]) -> Evidence:
        """Run a tool on the images of a case.

        Raises:
            UnknownReference: No such case or tool.
            OverreadError: The sentence with which the tool refused.
        """
        case = self.case(handle)
        async with case.lock:
            tools = self._build(case)
            if tool not in {one.name for one in tools}:
                raise UnknownReference(f"there is no tool '{tool:.60}'")
            timeout = self._config.agent.tool_timeout_s
            (outcome,) = await run_calls([ToolCall(tool=tool, arguments=arguments)], tools, timeout)
            if outcome.result is None:
                raise OverreadError(outcome.error or f"{tool} failed")
            return case.ledger.append(tool, arguments, outcome.content, outcome.result)

    def read(self, handle: str, name: str) -> tuple[Artifact, bytes]:
        """Return a file of a case by its name: hash and suffix.

        Raises:
            UnknownReference: No such case, or no such file in it.
            InputError: It is larger than what is sent at once.
        """
        for artifact in self.case(handle).artifacts():
            if Path(artifact.path).name == name:
                data = self._resources.artifacts.read(artifact)
                limit = self._config.mcp.max_artifact_mb
                if len(data) > limit * 1024**2:
                    raise InputError(f"the file has more than {limit} MB (mcp.max_artifact_mb)")
                return artifact, data
        raise UnknownReference(f"this session has no file '{name:.80}'")

    def files(self) -> list[tuple[str, Artifact]]:
        """Return the files of all cases, each with its handle."""
        return [(handle, a) for handle, case in self._cases.items() for a in case.artifacts()]

    def _keep(self, case: Case) -> str:
        handle = secrets.token_urlsafe(18)
        self._cases[handle] = case
        while len(self._cases) > self._config.mcp.max_sessions:
            self._cases.popitem(last=False)
        return handle

    def _allowed(self, path: str) -> Path:
        """Return a path below one of the folders, links resolved; relative ones are tried in each.

        Whether a path outside exists is not told.
        """
        try:
            tried = [(folder / path).resolve() for folder in self._folders]
        except (OSError, ValueError):
            tried = []
        inside = [place for place in tried if any(place.is_relative_to(f) for f in self._folders)]
        for place in inside:
            if place.exists():
                return place
        if inside:
            raise InputError(f"there is no file '{path:.200}' in the folders of this server")
        raise InputError(
            f"'{path:.200}' is outside the folders that this server may read (mcp.folders); "
            "send the file as content instead"
        )

    def _register_content(self, content: str, name: str, case: Case) -> list[ImageRef]:
        limit = self._config.mcp.max_upload_mb
        if len(content) > limit * 1024**2 * 4 // 3 + 4:
            raise InputError(f"the file has more than {limit} MB (mcp.max_upload_mb)")
        try:
            data = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("content is not base64") from error
        suffix = _SUFFIX.search(Path(name).name)
        uploads = self._resources.data / "uploads"
        uploads.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=uploads, prefix="image", suffix=suffix[0] if suffix else ""
        ) as file:
            file.write(data)
            file.flush()
            try:
                return self._register([Path(file.name)], case)
            except (
                OverreadError
            ) as error:  # the reader names the file, which is none of the client's
                raise InputError(str(error).replace(file.name, "the file")) from None

    def _register(self, paths: list[Path], case: Case) -> list[ImageRef]:
        limit = self._config.agent.max_images
        refs = register(self._resources, paths, limit)
        if len({*case.images, *refs}) > limit:
            raise InputError(f"a session has at most {limit} images (agent.max_images)")
        return refs

    def _build(self, case: Case) -> list[BaseTool]:
        context = self._resources.tool_context(tuple(case.images), tuple(case.ledger))
        return build_tools(context, self._config.agent.tools)
