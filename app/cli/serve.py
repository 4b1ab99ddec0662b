"""The workbench in the browser: ui and demo."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.data import remove_empty
from app.cli.terminal import out, progress_bar
from engine.errors import ServerError

LEAST_TOKEN = 16
"""Characters of a token that a person chose."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How the workbench is served: the folder of projects, and the options of the command."""

    home: Path
    address: str
    port: int
    token: bool
    browser: bool
    allowed: tuple[str, ...] = ()
    base_path: str = ""
    proxies: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    read_only: bool = False


def serve(how: Serving, project: Path | None) -> None:
    """Run the server until Ctrl+C; `project` is opened at once.

    Raises:
        ConfigError: an option is none.
        ServerError: it cannot listen there, or the token that was given is too short.
    """
    from app.server import access, gate, sessions, streamlit_app, workbench

    reached = access.access(how.address, how.allowed, how.base_path, how.proxies)
    port = access.free_port(how.address, how.port)
    secret = _secret() or gate.new_token() if how.token else ""
    # Whose forwarded headers count is the gate's to say: uvicorn would believe every process of this machine.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    urls = access.urls(how.address, port, reached, how.allowed)
    bench = workbench.use(
        workbench.Workbench(
            how.home, live=not how.read_only, base_path=reached.base_path, reviewers=how.reviewers,
            read_only=how.read_only,
        )
    )  # fmt: skip
    bench.url = urls[0]
    if project is not None:
        opened = bench.open(project)
        if opened.read_only:
            out.print(f"The project is open read-only: {escape(opened.read_only)}", soft_wrap=True)
    for number, url in enumerate(urls):
        where = "Starling is at" if number == 0 else "         or at"
        out.print(f"{where} [bold]{url}{f'?token={secret}' if secret else ''}[/bold]", soft_wrap=True)
    out.print(
        f"Projects are in {escape(str(bench.home))}. Stop with Ctrl+C; a round that runs goes on.",
        soft_wrap=True,
    )
    if how.browser:
        typer.launch(urls[0] + (f"?token={secret}" if secret else ""))
    app = streamlit_app.build(secret, reached, sessions.Sessions(bench.home))
    with contextlib.suppress(KeyboardInterrupt):
        app.run(config=streamlit_app.settings(how.address, port, reached))
    bench.close()


def _secret() -> str:
    """Return the token that the environment gives; "" where it gives none."""
    given = os.environ.get("STARLING_TOKEN", "")
    if given and len(given) < LEAST_TOKEN:
        raise ServerError(
            "The token in STARLING_TOKEN is too short", value=f"{len(given)} characters",
            way_out=f"Use {LEAST_TOKEN} random characters or more, or leave it out: Starling then makes one.",
        )  # fmt: skip
    return given


Address = Annotated[str, typer.Option(help="Where to listen. The default is this machine only; 0.0.0.0 is everywhere.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Home = Annotated[Path | None, typer.Option(help="The folder that holds the projects.")]
Token = Annotated[bool, typer.Option(help="Ask for the access token of the printed address.")]
Browser = Annotated[bool, typer.Option(help="Open the browser.")]
AllowHost = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A further name that this server has; may be given again.")
]
BasePath = Annotated[str, typer.Option(metavar="PATH", help="The path below which a proxy shows it, such as /lab.")]
BehindProxy = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address or network of a proxy before this server, whose forwarded headers are believed; may be given "
        "again.",
    ),
]
Reviewer = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Who may take back what others decided; may be given again."),
]

ReadOnly = Annotated[
    bool,
    typer.Option(
        "--read-only",
        help="Show projects and change nothing in them. A project whose folder cannot be written is opened so anyhow.",
    ),
]


def ui(
    project: Annotated[Path | None, typer.Argument(help="A project to open at once.", metavar="[PROJECT]")] = None,
    home: Home = None,
    address: Address = "127.0.0.1",
    port: Port = 8501,
    token: Token = True,
    browser: Browser = False,
    allow_host: AllowHost = None,
    base_path: BasePath = "",
    behind_proxy: BehindProxy = None,
    reviewer: Reviewer = None,
    read_only: ReadOnly = False,
) -> None:
    """Open the workbench in the browser."""
    from app.server import workbench

    how = Serving(
        home or workbench.default_home(), address, port, token, browser, tuple(allow_host or ()), base_path,
        tuple(behind_proxy or ()), tuple(reviewer or ()), read_only,
    )  # fmt: skip
    serve(how, project)


def demo(
    home: Home = None,
    address: Address = "127.0.0.1",
    port: Port = 8501,
    token: Token = True,
    browser: Browser = False,
) -> None:
    """Open the workbench on scikit-learn's 1,797 digits, 5 % of them labeled."""
    out.print("Starling gets the demo of handwritten digits ready…")
    from app.server import access, workbench
    from engine.importers.scan import ImportSource
    from engine.project.opened import Project

    access.free_port(address, port)
    folder = (home or workbench.default_home()) / "digits-demo"
    if not (folder / "project.db").exists():
        try:
            with progress_bar() as progress, Project.create(folder, "Digits (demo)") as project:
                source = ImportSource("torchvision", Path(), name="digits", labels_kept=90)
                project.imports.commit(project.imports.scan(source, progress), progress)
        except BaseException:
            remove_empty(folder)
            raise
    serve(Serving(folder.parent, address, port, token, browser), folder)
