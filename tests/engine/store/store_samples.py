import hashlib
import subprocess
import sys
from pathlib import Path

from engine.records.imports import FoundImage

REPOSITORY = Path(__file__).parents[3]


def found(name: str, label: str | None = None, truth: str | None = None, content: str = "") -> FoundImage:
    """One image as an importer hands it over; its SHA-256 is that of `content`, or of its name."""
    digest = hashlib.sha256((content or name).encode()).hexdigest()
    return FoundImage(name, Path("staged"), digest, "PNG", 28, 28, 1, 300, label=label, truth=truth)


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run code in a process of its own, from the repository's root; its output is text in pipes."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
