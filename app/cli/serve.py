"""The workbench in the browser: ui and demo."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.data import remove_empty
from app.cli.terminal import out, progress_bar


def serve(home: Path, project: Path | None, address: str, port: int, token: bool, browser: bool) -> None:
    """Run the server until Ctrl+C; `project` is opened at once."""
    from app.server import gate, streamlit_app, workbench

    port = streamlit_app.free_port(address, port)
    secret = os.environ.get("STARLING_TOKEN") or gate.new_token() if token else ""
    hosts = tuple(dict.fromkeys((*gate.LOOPBACK, address)))
    shown = f"[{address}]" if ":" in address else address
    bench = workbench.use(workbench.Workbench(home, live=True))
    bench.url = f"http://{shown}:{port}/"
    if project is not None:
        bench.open(project)
    url = bench.url + (f"?token={secret}" if secret else "")
    out.print(f"Starling is at [bold]{url}[/bold]", soft_wrap=True)
    out.print(
        f"Projects are in {escape(str(bench.home))}. Stop with Ctrl+C; a round that runs goes on.",
        soft_wrap=True,
    )
    if browser:
        typer.launch(url)
    with contextlib.suppress(KeyboardInterrupt):
        streamlit_app.build(secret, hosts).run(config=streamlit_app.settings(address, port, hosts))
    bench.close()


Address = Annotated[str, typer.Option(help="Where to listen. The default is this machine only.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Home = Annotated[Path | None, typer.Option(help="The folder that holds the projects.")]
Token = Annotated[bool, typer.Option(help="Ask for the access token of the printed address.")]
Browser = Annotated[bool, typer.Option(help="Open the browser.")]


def ui(
    project: Annotated[Path | None, typer.Argument(help="A project to open at once.", metavar="[PROJECT]")] = None,
    home: Home = None,
    address: Address = "127.0.0.1",
    port: Port = 8501,
    token: Token = True,
    browser: Browser = False,
) -> None:
    """Open the workbench in the browser."""
    from app.server import workbench

    serve(home or workbench.default_home(), project, address, port, token, browser)


def demo(
    home: Home = None,
    address: Address = "127.0.0.1",
    port: Port = 8501,
    token: Token = True,
    browser: Browser = False,
) -> None:
    """Open the workbench on scikit-learn's 1,797 digits, 5 % of them labeled."""
    from app.server import streamlit_app, workbench
    from engine.importers.scan import ImportSource
    from engine.project.opened import Project

    streamlit_app.free_port(address, port)
    folder = (home or workbench.default_home()) / "digits-demo"
    if not (folder / "project.db").exists():
        try:
            with progress_bar() as progress, Project.create(folder, "Digits (demo)") as project:
                source = ImportSource("torchvision", Path(), name="digits", labels_kept=90)
                project.imports.commit(project.imports.scan(source, progress), progress)
        except BaseException:
            remove_empty(folder)
            raise
    serve(folder.parent, folder, address, port, token, browser)
