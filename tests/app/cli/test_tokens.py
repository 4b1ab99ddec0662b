"""`starling tokens` and the options of serving: what they print and refuse, and how soon."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import serve
from app.cli.main import app
from app.components import modules
from app.routes.review import WHO
from app.server import sessions as sessions_module
from app.server.sessions import FILE, Sessions
from engine.errors import ConfigError, ServerError


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join(result.output.split())


def test_signed_in_browsers_are_listed_and_signed_out(tmp_path: Path) -> None:
    assert run("tokens", "--home", tmp_path) == "No browser is signed in."
    sessions = Sessions(tmp_path)
    secrets = [sessions.begin(f"Browser {n}\x1b[31m", "lab.example") for n in range(3)]
    first, second, third = reversed(sessions.all())
    told = run("tokens", "--home", tmp_path)
    assert all(one.id in told for one in (first, second, third))
    assert "lab.example" in told
    assert "\x1b" not in told
    assert not any(secret in told for secret in secrets)
    assert f"Signed out: {second.id}." in run("tokens", "--home", tmp_path, "--revoke", second.id)
    assert [sessions.knows(secret) for secret in secrets] == [True, False, True]
    with pytest.raises(ConfigError, match="No browser with this id"):
        run("tokens", "--home", tmp_path, "--revoke", second.id)
    run("tokens", "--home", tmp_path, "--revoke-all")
    assert [sessions.knows(secret) for secret in secrets] == [False] * 3


def test_sessions_outlive_the_process_and_damage_is_told(tmp_path: Path) -> None:
    secret = Sessions(tmp_path).begin()
    assert Sessions(tmp_path).knows(secret)
    assert not Sessions(tmp_path).knows(secret + "x")
    assert not Sessions(tmp_path).knows("\udcff")
    (tmp_path / FILE).write_text('{"name": 1}')
    with pytest.raises(ServerError, match="Remove it"):
        Sessions(tmp_path).knows(secret)


def test_two_processes_lose_no_session_of_each_other(tmp_path: Path) -> None:
    one, other = Sessions(tmp_path), Sessions(tmp_path)
    secrets = [(one if n % 2 else other).begin() for n in range(10)]
    assert all(one.knows(secret) and other.knows(secret) for secret in secrets)


def test_folder_that_cannot_be_written_keeps_sessions_as_long_as_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    kept = Sessions(tmp_path).begin()
    monkeypatch.setattr(sessions_module, "open", refuse, raising=False)
    for home in (tmp_path, tmp_path / "empty"):
        sessions = Sessions(home)
        assert sessions.name
        secret = sessions.begin()
        assert sessions.knows(secret)
        assert not Sessions(home).knows(secret)
        assert sessions.knows(kept) == (home == tmp_path)


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sessions_module, "open", refuse, raising=False)
    with pytest.raises(ServerError, match="No space left on device"):
        Sessions(tmp_path).begin()


def test_token_that_is_too_short_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STARLING_TOKEN", "sesame")
    with pytest.raises(ServerError, match="too short: 6 characters"):
        run("ui", "--home", tmp_path, "--port", "0")


@pytest.mark.parametrize(
    "wrong",
    [("--allow-host", "http://x"), ("--base-path", "/a b"), ("--behind-proxy", "proxy")],
    ids=lambda one: one[0],
)
def test_option_that_is_none_is_refused_before_anything_is_served(tmp_path: Path, wrong: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"Give it as in"):
        run("ui", "--home", tmp_path, "--port", "0", *wrong)


def test_name_of_the_browsers_cookie_is_the_same_in_both_languages() -> None:
    assert f'"{WHO}"' in modules.SOURCES["common/who.js"].decode()


def test_demo_says_at_once_that_it_has_begun(tmp_path: Path) -> None:
    """What is slow comes after the first line: neither Streamlit nor torch nor the database is loaded before it."""
    code = (
        "import sys\nfrom app.cli import serve\n"
        "class Told(Exception): pass\n"
        "def told(text, **_):\n    print(text, *(m for m in sys.modules if '.' not in m))\n    raise Told\n"
        "serve.out.print = told\n"
        f"try:\n    serve.demo(home=__import__('pathlib').Path({str(tmp_path)!r}), port=0)\n"
        "except Told: pass"
    )
    run_ = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run_.stdout.startswith("Starling gets the demo")
    assert set(run_.stdout.split()) & {"torch", "streamlit", "sqlalchemy", "pandas", "sklearn"} == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.speed
def test_first_line_of_the_demo_comes_within_two_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "demo", "--home", str(tmp_path), "--port", "0"]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        line = demo.stdout.readline()
        seconds = time.monotonic() - begun
        demo.kill()
    assert line.startswith("Starling")
    assert seconds < 2.0


def test_help_names_the_options_of_a_server() -> None:
    told = run("ui", "--help")
    for option in ("--allow-host", "--base-path", "--behind-proxy", "--reviewer"):
        assert option in told
    assert serve.LEAST_TOKEN >= 16
