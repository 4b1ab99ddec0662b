"""What a reading of a source says of its images: the result that every format gives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar

from engine.records.imports import GivenPrediction, Question, Refusal

Said = TypeVar("Said")
SPLIT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trn", "trainval", "treino", "entrenamiento", "entraînement"), "train"),
    **dict.fromkeys(("trainings", "apprentissage", "addestramento", "обучение", "训练", "訓練", "학습"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "validierung", "validierungs", "validación"), "val"),
    **dict.fromkeys(("validação", "validazione", "валидация", "验证", "検証", "검증"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout", "teste", "prueba", "pruebas"), "test"),
    **dict.fromkeys(("тест", "测试", "テスト", "테스트"), "test"),
}
"""What people call the splits, casefolded, and which of the three each is."""
_FILLERS = frozenset(
    {"set", "sets", "data", "dataset", "images", "image", "imgs", "img", "photos", "pictures", "seg", "split", "folder"}
    | {"daten", "bilder", "satz", "集"}
)
"""Words beside that of a split in the name of its folder: train_set, test-images, Validierungsdaten."""
_FILLED = re.compile(rf"(?P<word>.+?)(?:{'|'.join(sorted(_FILLERS, key=len, reverse=True))})")
_BETWEEN = re.compile(r"[\W_\d]+")
_POOLS = frozenset(
    {"unlabeled", "unlabelled", "nolabel", "nolabels", "notlabeled", "notlabelled", "unannotated", "withoutlabel"}
    | {"withoutlabels", "nichtgelabelt", "ohnelabel", "sinetiqueta", "sansétiquette"}
)


@lru_cache(maxsize=65536)
def split_of(word: str) -> str:
    """Return which split a word names: "train", "val", "test", or "" for none. Numbers and words such as “set” or
    “images” beside it do not count."""
    plain = unicodedata.normalize("NFC", word).strip().casefold()
    if plain in SPLIT_WORDS:
        return SPLIT_WORDS[plain]
    parts = [part for part in _BETWEEN.split(plain.replace("hold_out", "holdout")) if part and part not in _FILLERS]
    if len(parts) != 1:
        return ""
    filled = _FILLED.fullmatch(parts[0])
    return SPLIT_WORDS.get(parts[0]) or SPLIT_WORDS.get(filled["word"] if filled else "", "")


@lru_cache(maxsize=65536)
def is_pool(folder: str) -> bool:
    """Return whether a folder of this name holds images without a label: unlabeled, no_label, “Not labelled” …

    One that ends in “_” does not: exports name a class of such a name so.
    """
    return not folder.endswith("_") and re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", folder).casefold()) in _POOLS


@dataclass(frozen=True)
class Labeling:
    """Labels by image name; a name that is absent is unlabeled.

    Attributes:
        layout: the words a person reads: "class tree", "images + CSV", "images only", or a set's name.
        labels: label by image name, as the source writes it.
        refused: rows and names that were not taken, with the reason.
        conflicts: by image name, the different labels it was given; it stays unlabeled.
        notices: what a person should know.
        splits: "train", "val" or "test" by image name, where the source says it.
        classes: declared by the source, some perhaps without an image, in its order, which the project keeps; none that
            are only met among the labels.
        columns: what further columns say, by header: text by image name; groups are among them.
        predictions: by image name, what a model said.
        questions: what a person may decide about this reading, with what was taken.
        used: names of the files that were read for it.
        spelled: the labels that are not ASCII alone, as the source has them, where `labels` has them in NFC.
    """

    layout: str
    labels: Mapping[str, str]
    refused: tuple[Refusal, ...] = ()
    conflicts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    predictions: Mapping[str, GivenPrediction] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    used: frozenset[str] = frozenset()
    spelled: frozenset[str] = frozenset()

    @property
    def test(self) -> frozenset[str]:
        """The labeled images of a test split that lies beside another split: their labels only measure."""
        if len({split for name, split in self.splits.items() if name in self.labels}) < 2:
            return frozenset()
        return frozenset(name for name, split in self.splits.items() if split == "test" and name in self.labels)


def for_frames(labeling: Labeling, frames: Mapping[str, Sequence[str]]) -> Labeling:
    """Return a labeling in which what is said of a file is said of each of its frames.

    Args:
        labeling: by names of files.
        frames: by name of a file of which frames were taken, their names.
    """
    if not frames:
        return labeling
    return replace(
        labeling,
        labels=_spread(labeling.labels, frames),
        conflicts=_spread(labeling.conflicts, frames),
        splits=_spread(labeling.splits, frames),
        columns={header: _spread(cells, frames) for header, cells in labeling.columns.items()},
        predictions=_spread(labeling.predictions, frames),
    )


def _spread(said: Mapping[str, Said], frames: Mapping[str, Sequence[str]]) -> dict[str, Said]:
    return {name: one for file, one in said.items() for name in frames.get(file, (file,))}


def about_test(count: int) -> str:
    """Return what a person should know of a test split of so many images."""
    images = f"{count:,} {'image' if count == 1 else 'images'}"
    return f"the labels of the test split are never trained on, they measure: {images}"
