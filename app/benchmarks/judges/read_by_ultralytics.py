"""Prints what Ultralytics reads: by SHA-256 of the image, the folder of its class and its split. Argument: folder."""

import hashlib
import json
import sys
from pathlib import Path

from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import ClassificationDataset
from ultralytics.data.utils import check_cls_dataset

found = {}
about = check_cls_dataset(sys.argv[1])
for split in ("train", "val", "test"):
    if about.get(split):
        data = ClassificationDataset(root=str(about[split]), args=get_cfg(overrides={"imgsz": 32}), augment=False)
        for path, number, *_ in data.samples:
            found[hashlib.sha256(Path(path).read_bytes()).hexdigest()] = [about["names"][number], split]
print(json.dumps(found))
