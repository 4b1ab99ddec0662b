"""The components' JavaScript: native ES modules, read once, at addresses that carry their content.

One address for all modules of one content: a browser may keep them for ever, and those of two versions are never mixed.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path

from app.server import workbench

HERE = Path(__file__).parent
ROOT = "/starling/js"
SOURCES = {path.relative_to(HERE).as_posix(): path.read_bytes() for path in sorted(HERE.rglob("*.js"))}
"""Text of each module by its path below this folder, as it was when Starling started."""
VERSION = hashlib.sha256(repr(SOURCES).encode()).hexdigest()[:16]
"""Says which content they have."""
_IMPORT = re.compile(r'^(?:import|export)\b[^;"]*?\bfrom "(\.[^"]+)";', re.MULTILINE)


def address(path: str) -> str:
    """Return where the browser finds a module."""
    return f"{workbench.current().base_path}{ROOT}/{VERSION}/{path}"


def imports(path: str) -> list[str]:
    """Return the modules that a module imports, in the order they stand there."""
    imported = _IMPORT.findall(SOURCES[path].decode())
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) for target in imported]


def needed(path: str) -> list[str]:
    """Return all modules that a module needs, without itself; those nearest to it first."""
    known = [path]
    for one in known:
        known += [other for other in dict.fromkeys(imports(one)) if other not in known]
    return known[1:]
