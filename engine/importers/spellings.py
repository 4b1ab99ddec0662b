"""File names in zips that do not say their encoding: what is asked about them, and what each is in another one.

A zip may be the source or lie in it. Those that lie in it are asked about together: one packer mostly made all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.errors import ConfigError
from engine.importers.archive import encoding_notices
from engine.importers.containers import Spelling, container_of, stem_of
from engine.importers.contents import NameEncoding
from engine.importers.formats.base import Answers
from engine.importers.names import shown
from engine.importers.staging import Staged
from engine.importers.unpacking import folders_above
from engine.importers.zip_names import LANGUAGES
from engine.records.imports import Question

ENCODING, INNER = "encoding", "inner_encoding"
"""Keys of the questions in which encoding names are: those in the zip that is the source; those in zips inside it."""
AS_GUESSED = "guessed"
"""The answer that the names in each zip inside the source are as they seem."""
_LISTED = 3


class Renamed:
    """What the files of a zip are called in another encoding.

    Args:
        names: the other name of each file that has one, by its name.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        archives = {name: other for name, other in names.items() if container_of(name) is not None}
        self._folders = {stem_of(name): stem_of(other) for name, other in archives.items()} | archives

    def name(self, name: str) -> str:
        """Return the other name of a file, also of one in an archive in the zip, whose files are put into a folder that
        is called like it."""
        if name in self._names:
            return self._names[name]
        above = next((folder for folder in folders_above(name) if folder in self._folders), None)
        return name if above is None else self._folders[above] + name[len(above) :]


@dataclass(frozen=True)
class Spelled:
    """How the names in a source's zips are read.

    Attributes:
        renamed: by folder that the files of a zip are put into ("" for the source itself), the names in the encoding
            that was chosen, by those as they were scanned; relative to the folder.
        questions: what a person may decide.
        notices: what a person should know.
    """

    renamed: Mapping[str, Renamed]
    questions: tuple[Question, ...] = ()
    notices: tuple[str, ...] = ()

    def name(self, name: str) -> str:
        """Return what a file of the source is called."""
        for folder in (*folders_above(name), "") if self.renamed else ():
            if (renamed := self.renamed.get(folder)) is not None:
                start = f"{folder}/" if folder else ""
                name = start + renamed.name(name.removeprefix(start))
        return name

    def staged(self, staged: Staged) -> Staged:
        """Return what was staged under these names."""
        if not self.renamed:
            return staged
        spell, unpacked = self.name, staged.unpacked
        return replace(
            staged,
            names={sha256: list(map(spell, names)) for sha256, names in staged.names.items()},
            files={spell(name): path for name, path in staged.files.items()},
            video_names={sha256: list(map(spell, names)) for sha256, names in staged.video_names.items()},
            unpacked=replace(
                unpacked,
                members=set(map(spell, unpacked.members)),
                folders=set() if self.renamed.keys() - {""} else unpacked.folders,
                records={spell(name): record for name, record in unpacked.records.items()},
                places={spell(name): places for name, places in unpacked.places.items()},
            ),
        )


def choose_spelling(
    encoding: NameEncoding | None,
    names: Mapping[str, Mapping[str, str]],
    inner: Mapping[str, tuple[str, Spelling]],
    answers: Answers,
) -> Spelled:
    """Return how names are read, and what is asked about it.

    Args:
        encoding: that of the zip that is the source, None where there is none or it says it.
        names: by other encoding, the other name of each of its files that would have one, by its name.
        inner: of the zips in the source; see `unpacking.Unpacked.spellings`.
        answers: "encoding" may be an encoding; "inner_encoding" too, or AS_GUESSED.

    Raises:
        ConfigError: the names cannot be read so.
    """
    outer = _of_source(encoding, names, answers)
    inside = _of_inner(inner, answers)
    return Spelled(
        {**outer.renamed, **inside.renamed}, (*outer.questions, *inside.questions), (*outer.notices, *inside.notices)
    )


def _of_source(encoding: NameEncoding | None, names: Mapping[str, Mapping[str, str]], answers: Answers) -> Spelled:
    if encoding is None:
        return Spelled({})
    if not names:
        return Spelled({}, notices=tuple(encoding_notices(encoding)))
    chosen = _check(answers.get(ENCODING, encoding.chosen), (encoding.chosen, *names))
    examples = {encoding.chosen: encoding.examples, **encoding.alternatives}
    options = tuple((one, f"{one}: {', '.join(examples[one])}") for one in (encoding.chosen, *names))
    question = Question(
        ENCODING, "File names in the zip", options, chosen,
        "The zip does not say in which encoding its names are. Choose the line that reads right.", not encoding.sure,
    )  # fmt: skip
    if chosen == encoding.chosen:
        return Spelled({}, (question,), tuple(encoding_notices(encoding)))
    return Spelled(
        {"": Renamed(names[chosen])}, (question,), (f"file names are read as {LANGUAGES[chosen]} ({chosen})",)
    )


def _of_inner(inner: Mapping[str, tuple[str, Spelling]], answers: Answers) -> Spelled:
    if not inner:
        return Spelled({})
    spellings = [spelling for _, spelling in inner.values()]
    encodings = dict.fromkeys(
        one for spelling in spellings for one in (spelling.encoding.chosen, *spelling.encoding.alternatives)
    )
    chosen = _check(answers.get(INNER, AS_GUESSED), (AS_GUESSED, *encodings))
    guessed = list(dict.fromkeys(spelling.encoding.chosen for spelling in spellings))
    more = [one for one in encodings if guessed != [one]]
    options = [(AS_GUESSED, f"as it seems ({', '.join(guessed)}): {_examples(spellings, AS_GUESSED)}")]
    options += [(one, f"{one}: {_examples(spellings, one)}") for one in more]
    zips = "A zip in it does not say" if len(inner) == 1 else f"{len(inner):,} zips in it do not say"
    question = Question(
        INNER, "File names in zips inside", tuple(options), AS_GUESSED if guessed == [chosen] else chosen,
        f"{zips} in which encoding names are. Choose the line that reads right.",
        not all(spelling.encoding.sure for spelling in spellings),
    )  # fmt: skip
    if chosen == AS_GUESSED:
        told = [
            f"{shown(name, 80)}: {notice}"
            for name, spelling in list(inner.values())[:_LISTED]
            for notice in encoding_notices(spelling.encoding)
        ]
        told += [f"and so in {len(inner) - _LISTED:,} more zips inside"] if told and len(inner) > _LISTED else []
        return Spelled({}, (question,), tuple(told))
    renamed = {folder: Renamed(one.names[chosen]) for folder, (_, one) in inner.items() if chosen in one.names}
    other = sum(chosen not in (one.encoding.chosen, *one.names) for one in spellings)
    told = [f"file names in zips inside are read as {LANGUAGES[chosen]} ({chosen})"]
    told += [f"{other:,} of {len(inner):,} zips inside have names that are none in it; they stay"] if other else []
    return Spelled(renamed, (question,), tuple(told))


def _check(chosen: str, known: Sequence[str]) -> str:
    if chosen not in known:
        way_out = f"Choose one of {', '.join(known)}."
        raise ConfigError("The names cannot be read in this encoding", value=chosen, way_out=way_out)
    return chosen


def _examples(spellings: Sequence[Spelling], encoding: str) -> str:
    read: list[str] = []
    for spelling in spellings:
        found = spelling.encoding
        as_it_is = encoding in (AS_GUESSED, found.chosen)
        read += found.examples if as_it_is else found.alternatives.get(encoding, ())
    return ", ".join(list(dict.fromkeys(read))[:_LISTED])
