"""What the limited child loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CODE = """
import json, sys
from engine.images import child
for path in sys.argv[1:]:
    answer = child._answer({"op": "inspect", "path": path, "thumb": path + ".webp", "sha256": "0" * 64})
    print(json.dumps([answer["channels"], "numpy" in sys.modules, "PIL.FtexImagePlugin" in sys.modules]))
"""


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_only_deep_images_take_the_time_to_load_numpy_and_none_loads_all_of_pillow(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((8, 8), 200, kind)).save(path)
    run = subprocess.run([sys.executable, "-c", CODE, str(path)], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [1, kind is np.uint16, False]
    with Image.open(f"{path}.webp") as thumbnail:
        assert thumbnail.size == (8, 8)
