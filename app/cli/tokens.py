"""Which browsers are signed in, and signing them out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from app.cli.serve import Home
from app.cli.terminal import out
from engine.errors import ConfigError


def tokens(
    home: Home = None,
    revoke: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Sign out the browser with this id; may be given again.")
    ] = None,
    revoke_all: Annotated[bool, typer.Option("--revoke-all", help="Sign out every browser.")] = False,
) -> None:
    """List the browsers that are signed in to a folder of projects, or sign them out at once.

    A browser signs in by the address that Starling prints when it starts. It stays so for 30 days, 7 without use.
    """
    from app.server import workbench
    from app.server.sessions import Sessions

    sessions = Sessions((home or workbench.default_home()).expanduser().resolve())
    known = sessions.all()
    wanted = {one.id for one in known} if revoke_all else set(revoke or ())
    unknown = wanted - {one.id for one in known}
    if unknown:
        raise ConfigError(
            "No browser with this id is signed in", value=", ".join(sorted(unknown)),
            way_out="List them: starling tokens.",
        )  # fmt: skip
    if wanted:
        gone = sessions.revoke(wanted)
        out.print(f"Signed out: {', '.join(one.id for one in gone)}.")
        out.print("The address that Starling printed still lets in; after a restart there is another one.")
    elif revoke_all or not known:
        out.print("No browser is signed in.")
    else:
        table = Table("Id", "Signed in", "Last used", "Ends", "By the name", "Browser")
        for one in known:
            table.add_row(one.id, _when(one.created), _when(one.used), _when(one.ends()), one.host, one.browser)
        out.print(table)


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
