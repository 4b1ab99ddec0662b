"""Prints what FiftyOne's importer reads: by SHA-256 of the image, label and confidence. Argument: folder."""

import hashlib
import json
import sys
from pathlib import Path

from fiftyone.utils.data.importers import FiftyOneImageClassificationDatasetImporter

found = {}
with FiftyOneImageClassificationDatasetImporter(dataset_dir=sys.argv[1]) as samples:  # a data set would need MongoDB
    for path, _, given in samples:
        label = [None, None] if given is None else [given.label, given.confidence]
        found[hashlib.sha256(Path(path).read_bytes()).hexdigest()] = label
print(json.dumps(found))
