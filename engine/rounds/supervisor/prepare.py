"""What a round needs before it may start, and the plan and labels written into its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine import __version__
from engine.errors import ConfigError, RoundBlocked, StarlingError
from engine.files import sha256_of, write_atomic, write_json
from engine.groups import first_of_each
from engine.images.array_cache import ArraySpec, recommend_spec
from engine.nets.net_name import NetName
from engine.quality.sample import random_prefix
from engine.query import random_order
from engine.records.labels import ImageItem, LabelSource, LabelState
from engine.records.rounds import LIVE, HeldoutFigures, Predictions, RoundRecord
from engine.rounds.folder import files, results
from engine.rounds.folder.digests import ROUND
from engine.rounds.folder.identity import make_room
from engine.rounds.folder.plan import PreviousRound, RoundPlan, read_plan, round_folder
from engine.rounds.worker.recorder import RoundRecorder
from engine.training.config import TrainConfig
from engine.training.settings import settings_from

if TYPE_CHECKING:
    from engine.store import Store


LEAST_CLASSES = 2
NEED = "A round needs a labeled image in each of at least 2 classes."
HELDOUT_SOURCES: frozenset[LabelSource] = frozenset({"imported", "human"})
"""Labels that may measure a model; one accepted from a model's own prediction would flatter it."""


def check_round(store: Store, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> None:
    """Raise if this round could not run on the project as it is now.

    Raises:
        RoundBlocked: no images, too few labels, or nothing unlabeled to learn from.
        DeviceMissing: the device asked for is not on this machine.
        ConfigError: a setting is outside its range, or there is no such algorithm.
    """
    check_settings(algorithm, config, train)
    table = store.label_table()
    usable, apart = table.mark != "reject", table.among(store.apart())
    labels = [label for label in table.label[usable & ~apart] if label is not None]
    check_labels(labels, int(usable.sum()), algorithm)
    check_inputs(store, algorithm, train)


def check_inputs(store: Store, algorithm: str, train: Mapping[str, Any]) -> None:
    """Raise RoundBlocked if an algorithm that labels a set is asked to take photos by their pixels."""
    from engine.algorithms import ALGORITHMS
    from engine.algorithms.transductive import check_described

    settings = settings_from(TrainConfig, train)
    if ALGORITHMS[algorithm].labels_a_set and not NetName.parse(settings.net).is_frozen:
        spec = _spec(store.images(), train)
        check_described(spec.channels, spec.size)


def check_settings(algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> None:
    """Raise ConfigError or DeviceMissing if the settings are not acceptable on this machine.

    torch is imported here and not above, so that planning costs nothing where no round is asked for.
    """
    from engine.algorithms import ALGORITHMS
    from engine.training import device

    if algorithm not in ALGORITHMS:
        raise ConfigError(
            "There is no such algorithm", value=algorithm, way_out=f"Choose one of: {', '.join(ALGORITHMS)}."
        )
    settings_from(ALGORITHMS[algorithm].config, config)
    settings = settings_from(TrainConfig, train)
    device.resolve(settings.device)
    check_net(settings.net)
    if settings.start:
        check_net(settings.start)
        if not ALGORITHMS[algorithm].takes_start:
            raise ConfigError(
                f"{ALGORITHMS[algorithm].title} cannot start from the set's labels",
                value=settings.start,
                way_out="Leave the start empty, or choose another algorithm, for example Pseudo-Label.",
            )


def check_net(net: str) -> None:
    """Raise ConfigError if no round on images can have this network; weights are neither looked for nor fetched."""
    from engine.nets import backbones, frozen, tuned

    name = NetName.parse(net)
    if name.is_vector:
        raise ConfigError(
            "This network takes vectors, not images",
            value=net,
            way_out="Choose auto, or a quick round such as frozen:efficientnet_lite0.",
        )
    if name.is_frozen:
        frozen.check(net)
    elif name.is_tuned:
        tuned.check(name.base)
    elif name.is_torchvision:
        backbones.check_name(name.base)


def check_labels(labels: Sequence[str], images: int, algorithm: str) -> None:
    """Raise RoundBlocked unless these labels are enough to train on: one in each of two classes. A class without any
    label is left out of the round: it may be one that was named and taken back, and nothing can be learned of it.

    Args:
        labels: the class names of all labeled images that are not rejected, one an image.
        images: how many images are not rejected, labeled or not.
        algorithm: its key; only "supervised" can do without unlabeled images.
    """
    if images == 0:
        raise RoundBlocked(
            "The project has no images to train on", way_out="Import images, or take the rejection of some back."
        )
    counts = Counter(labels)
    if not counts:
        raise RoundBlocked(
            f"None of the {images:,} images has a label",
            way_out=f"{NEED} Label some on the review page, or import labels.",
        )
    if len(counts) < LEAST_CLASSES:
        only = next(iter(counts))
        raise RoundBlocked(
            "All labeled images are of one class",
            value=f"{only} ({counts[only]:,})",
            way_out=f"{NEED} Label images of another class.",
        )
    if len(labels) >= images and algorithm != "supervised":
        raise RoundBlocked(
            f"All {images:,} images are labeled, so there is nothing for pseudo-labels to add",
            way_out="Choose the supervised algorithm, or import unlabeled images.",
        )


def write_plan(store: Store, record: RoundRecord, root: Path) -> Path:
    """Write config.json and, the first time only, labels.parquet at the round's pinned ledger seq.

    A folder of another round, which had this number before the project was restored, is moved aside.

    A resumed round keeps its images, labels, split, classes, array size and code version note; only the token,
    the attempt and the round in force that it is compared with change.

    Args:
        store: the open project.
        record: the queued round.
        root: the project's folder.

    Returns:
        The round's folder.

    Raises:
        RoundBlocked: the labels at the pinned seq are not enough; nothing was written.
        WorkerBusy: a worker of another round, which had this number before a restore, still writes there.
    """
    folder = round_folder(root, record.number)
    aside = make_room(root, record.number, record.uid)
    if (folder / files.LABELS).exists() and (folder / files.CONFIG).exists():
        previous = previous_round(store, record.number)
        ROUND.unseal(folder)
        plan = replace(read_plan(folder), token=record.token, attempt=record.attempt, previous=previous)
        write_json(folder / files.CONFIG, asdict(plan))
        return folder
    train = dict(record.config.get("train", {}))
    items = sorted(store.images(), key=lambda item: item.id)
    present = {item.id for item in items}
    states = {image: state for image, state in store.states_at(record.ledger_seq).items() if image in present}
    kept_states = [state for state in states.values() if state.mark != "reject"]
    apart = frozenset(store.apart().tolist())
    labels = [state.label for state in kept_states if state.label is not None and state.image_id not in apart]
    check_labels(labels, len(items) - (len(states) - len(kept_states)), record.algorithm)
    classes = [name for name in store.classes() if name in set(labels)]
    for name in files.FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    previous = previous_round(store, record.number)
    frame = label_frame(items, states, classes, train, apart, store.groups()[: len(items)])
    ids = frame["image_id"].to_numpy(np.int64)
    decided = [state.image_id for state in states.values() if state.label is not None or state.mark is not None]
    frame["drawn"] = drawn(ids, np.isin(ids, decided) & ~np.isin(ids, store.unseen()), store.imported())
    if aside is not None:
        _tell_moved(folder, record.token, aside)
    frame["stratum"] = strata(ids, classes, _predicted(root, previous))
    write_atomic(folder / files.LABELS, lambda path: frame.to_parquet(path, index=False))
    spec = _spec(items, train)
    plan = RoundPlan(
        algorithm=record.algorithm,
        config=dict(record.config.get("algorithm", {})),
        train=train,
        classes=classes,
        number=record.number,
        token=record.token,
        attempt=record.attempt,
        code_version=__version__,
        ledger_seq=record.ledger_seq,
        spec={"size": spec.size, "channels": spec.channels},
        previous=previous,
        uid=record.uid,
        labels_sha256=sha256_of(folder / files.LABELS),
    )
    write_json(folder / files.CONFIG, asdict(plan))
    return folder


def _tell_moved(folder: Path, token: str, aside: Path) -> None:
    """Say, where the round's page and its report say what was done otherwise, that another round's folder was there."""
    recorder = RoundRecorder(folder, token)
    message = f"The folder of another round of this number was moved to {aside.name}"
    recorder.event("recovery", durable=True, phase="", kind="folder", message=message)
    recorder.close()


def label_frame(
    items: Sequence[ImageItem],
    states: Mapping[int, LabelState],
    classes: Sequence[str],
    train: Mapping[str, Any],
    apart: Collection[int] = (),
    groups: NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """Return one row an image, ids ascending: image_id, sha256, label (class index, −1 for none), role, group.

    Images `apart` (measured set, test split) measure: their labels are left out, they are unlabeled ones like others.

    The split is stratified and seeded by the round's seed; see `engine.training.pools.split_labeled`. Only labels
    that a person or an import gave are split; one accepted from a prediction is trained on and never held out.

    Of a group that is held out one image measures, the first in the fixed random order: its frames would count one
    thing seen several times. Its other images with a label, of whatever source, are set aside.

    Args:
        items: the images, ids ascending.
        states: what is in force, by image id.
        classes: the order of the class indices.
        train: settings of TrainConfig.
        groups: (N,) number of each image's group; each image by itself when None.
    """
    from engine.training.pools import split_labeled

    settings = settings_from(TrainConfig, train)
    column = {name: index for index, name in enumerate(classes)}
    ids = np.array([item.id for item in items], np.int64)
    known = [states.get(item.id, LabelState(item.id)) for item in items]
    label = np.array(
        [-1 if state.label is None or state.image_id in apart else column[state.label] for state in known], np.int64
    )
    rejected = np.array([state.mark == "reject" for state in known], bool)
    labeled = (label >= 0) & ~rejected
    eligible = labeled & np.array([state.source in HELDOUT_SOURCES for state in known], bool)
    groups = ids if groups is None else groups
    share, seed = settings.heldout_fraction, settings.seed
    _, heldout = split_labeled(ids[eligible], label[eligible], share, seed, groups[eligible])
    out = np.flatnonzero(np.isin(ids, heldout))
    role = np.full(len(ids), "unlabeled", dtype=object)
    role[labeled] = "train"
    role[labeled & np.isin(groups, groups[out])] = "aside"
    role[out[first_of_each(groups[out], random_order(ids[out]))]] = "heldout"
    role[rejected] = "excluded"
    shas = [item.sha256 for item in items]
    return pd.DataFrame({"image_id": ids, "sha256": shas, "label": label, "role": role, "group": groups})


def drawn(ids: NDArray[np.int64], looked_at: NDArray[np.bool_], imported: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which images (N,) are a random sample of those imported without a label, each looked at by a person.

    The labels among them show the classes' shares to a model; see `engine.quality.sample`. Those of the measured set
    are no part of it, since nothing is learned from them.

    Args:
        ids: (N,) ascending.
        looked_at: (N,) whether a person has looked at an image by itself and given a label or a mark.
        imported: ids of images that came with a label.
    """
    came_without = np.flatnonzero(~np.isin(ids, imported))
    sample = np.zeros(len(ids), bool)
    sample[came_without[random_prefix(random_order(ids[came_without]), looked_at[came_without])]] = True
    return sample


def strata(ids: NDArray[np.int64], classes: Sequence[str], predicted: Predictions | None = None) -> NDArray[np.int16]:
    """Return the class index (N,) that the round in force predicts for each image, −1 where it predicts none.

    Tracked images are chosen by it, see `engine.rounds.tracked.tracked_rows`. A class
    predicted then and gone since counts as none.
    """
    stratum = np.full(len(ids), -1, np.int16)
    if predicted is None or not len(predicted.image_ids):
        return stratum
    column = {name: index for index, name in enumerate(classes)}
    now = np.array([column.get(name, -1) for name in predicted.classes], np.int16)
    by_image = dict(zip(predicted.image_ids.tolist(), now[predicted.probabilities.argmax(1)].tolist(), strict=True))
    return np.array([by_image.get(image, -1) for image in ids.tolist()], np.int16)


def _predicted(root: Path, previous: PreviousRound | None) -> Predictions | None:
    """Return what the round in force predicts; None where there is none or it can not be read.

    A damaged file of an older round is no reason to refuse a new one; whoever asks for its predictions is told.
    """
    if previous is None:
        return None
    try:
        return results.final_predictions(round_folder(root, previous.number))
    except (StarlingError, OSError, ValueError, KeyError):
        return None


def previous_round(store: Store, number: int) -> PreviousRound | None:
    """Return the last promoted round other than this one, or None; a live round counts once it has been fitted."""
    rounds = [record for record in store.rounds() if record.number != number and record.report is not None]
    promoted = [record for record in rounds if record.state == "promoted" and not _unfitted(record)]
    if not promoted:
        return None
    last = max(promoted, key=lambda record: record.number)
    return PreviousRound(last.number, HeldoutFigures() if last.report is None else last.report.heldout)


def _unfitted(record: RoundRecord) -> bool:
    return LIVE in record.progress and (record.report is None or not record.report.predictions.sha256)


def _spec(items: Sequence[ImageItem], train: Mapping[str, Any]) -> ArraySpec:
    return array_spec(recommend_spec(items), settings_from(TrainConfig, train))


def array_spec(recommended: ArraySpec, settings: TrainConfig) -> ArraySpec:
    """Return the arrays a round trains on: of the side asked for, else a tuned network's own, else as recommended.

    Raises:
        ConfigError: there is no such network.
    """
    net, size = NetName.parse(settings.net), settings.image_size
    if size is None and net.is_tuned:
        from engine.nets import tuned

        size = tuned.check(net.base).side
    return recommended if size is None else replace(recommended, size=size)
