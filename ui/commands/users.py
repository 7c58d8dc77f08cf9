"""`overread users`: who may log in to the app."""

import sys
from typing import Annotated

import typer

from overread.agent.config import ensure_data_dir, load_config
from overread.imaging.errors import InputError
from overread.ui.users import USERS_FILE, Users

app = typer.Typer(
    help="Who may log in to the app; with at least one user it asks for a password.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Of the user.")]


def users_file() -> Users:
    """Return the users of the data folder.

    Raises:
        ConfigError: The data folder cannot be used.
    """
    return Users(ensure_data_dir(load_config()) / USERS_FILE)


@app.command()
def add(
    name: Name,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a user, or give one a new password.

    For example:

        overread users add ada
    """
    users = users_file()
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask for a password; use --password-stdin")
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    users.add(name, password)
    typer.echo(f"{name} can log in")


@app.command("list")
def list_() -> None:
    """Print the names of all users."""
    for name in users_file().names():
        typer.echo(name)


@app.command()
def remove(name: Name) -> None:
    """Take a user out; what that user left stays in the data folder."""
    users_file().remove(name)
    typer.echo(f"{name} can no longer log in")
