"""A zip of class folders with the untouched originals.

    train/<class>/<image>   labeled images (another split name where a row has one)
    _unlabeled/<image>      the rest
    metadata.csv            the table; see `engine.exporters.bundle` for it and for what lies beside it

Extracted, `torchvision.datasets.ImageFolder` reads `train`. Class names that are no valid folder names are
altered on the way; the metadata hold the true ones.
"""

from __future__ import annotations

from engine.exporters.bundle import Layout, in_class_folders, zipped
from engine.exporters.evidence import TABLE

LAYOUT = Layout("imagefolder", in_class_folders, table=TABLE)
write = zipped(LAYOUT)
