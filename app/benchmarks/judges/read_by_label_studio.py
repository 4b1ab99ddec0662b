"""Prints what Label Studio's converter reads: by SHA-256, the choice of the annotation. Argument: folder."""

import json
import sys
import tempfile
from pathlib import Path

from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface

folder = Path(sys.argv[1])
config = (folder / "config.xml").read_text()
interface = LabelInterface(config)
interface.validate()
for task in json.loads((folder / "tasks.json").read_text()):
    assert all(interface.validate_annotation(one) for one in task["annotations"]), task
    assert all(interface.validate_prediction(one) for one in task["predictions"]), task
with tempfile.TemporaryDirectory() as out:
    Converter(config=config, project_dir=None).convert_to_json_min(str(folder / "tasks.json"), out, is_dir=False)
    tasks = json.loads((Path(out) / "result.json").read_text())
print(json.dumps({task["sha256"]: task.get("choice") for task in tasks}))
