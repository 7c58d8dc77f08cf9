"""The border between our errors and the planner: expected failures become tool messages."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from overread.imaging.errors import OverreadError
from overread.tools.base import ToolResult

Arguments = ParamSpec("Arguments")


def make_tool(
    function: Callable[Arguments, tuple[str, ToolResult]],
    *,
    name: str,
    description: str,
    arguments: type[BaseModel],
) -> BaseTool:
    """Wrap a function as a tool that answers the planner with a sentence and keeps the evidence.

    Args:
        function: Returns the sentence and the result.
        name: What the planner calls.
        description: Its prompt.
        arguments: Closed model of the arguments.

    Returns:
        A tool whose `OverreadError`s reach the planner as messages; any other error is a bug and
        is raised.
    """

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> tuple[str, ToolResult]:
        try:
            return function(*args, **kwargs)
        except OverreadError as error:
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(
        call,
        name=name,
        description=description,
        args_schema=arguments,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=_explain,
    )


def _explain(error: ValidationError | ValidationErrorV1) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"argument {where}: {first['msg']}"
