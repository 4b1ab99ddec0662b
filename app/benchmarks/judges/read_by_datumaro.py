"""Prints what Datumaro reads: by SHA-256 of the image, its labels and subset. Arguments: folder, format."""

import hashlib
import json
import sys
from pathlib import Path

import datumaro

data = datumaro.Dataset.import_from(sys.argv[1], sys.argv[2])
names = [one.name for one in data.categories()[datumaro.AnnotationType.label]]
found = {
    hashlib.sha256(Path(item.media.path).read_bytes()).hexdigest(): [
        [names[one.label] for one in item.annotations],
        item.subset,
    ]
    for item in data
}
print(json.dumps(found))
