"""The command `overread`: one file per sub-command in `commands/`; errors are caught here alone."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from overread import __version__
from overread.imaging.errors import OverreadError
from overread.ui.commands import (
    ask,
    chat,
    demo,
    doctor,
    eval,
    index,
    report,
    segment,
    serve,
    synthesise,
    train,
    users,
)
from overread.ui.terminal import RESEARCH_USE

QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""Read by libraries when they are imported: no progress bars and hints of theirs among ours."""

app = typer.Typer(
    name="overread",
    help=f"A second reader for medical images that shows its work. {RESEARCH_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(ask.ask)
app.command()(chat.chat)
app.command()(demo.demo)
app.command()(serve.serve)
app.command()(segment.segment)
app.command()(synthesise.synthesise)
app.command()(report.report)
app.command()(doctor.doctor)
app.add_typer(index.app, name="index")
app.add_typer(eval.app, name="eval")
app.add_typer(train.app, name="train")
app.add_typer(users.app, name="users")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"overread {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of index, sessions, artifacts and models.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Take what every sub-command shares; the environment carries it, to child processes too."""
    if data_dir is not None:
        os.environ["OVERREAD_DATA_DIR"] = str(data_dir)


def main() -> None:
    """Run the command line: 0 done, 1 something failed, 2 bad input, 130 interrupted."""
    os.environ |= QUIET
    try:
        app()
    except OverreadError as error:
        typer.echo(f"overread: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
