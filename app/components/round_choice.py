"""Choosing a round: the recommended one with its reasons and its time, one's own settings, and augmented images."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import state
from app.components.forms import config_form
from app.components.lock import writing
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.nets.net_name import NetName
from engine.project import options

MAIN_FIELDS = ("net", "epochs", "device")
VIEW_FIELDS = ("augment", "strong", "rand_ops", "rand_magnitude", "noise")
IMAGES, COPIES = 6, 3
PHOTO_GAINS = """
Decisions of a person until 98 % of all labels are right, from 5 labels a class on, the mean of 3 to 5 runs:

| | quick rounds | live labels | with mobilenet_v2 beside them |
|---|---|---|---|
| 900 photos of clothes, 10 classes | 416 | 298 | 259 |
| 887 photos of trash, 6 classes | 623 | 417 | 401 |

With the random images that measure, one answer in five, live labels took 351 and 491 (308 and 471 with mobilenet_v2).
`starling bench photos` measures it on any folder of class folders. How much your photos gain shows as you label: live
labels say how many are right.
"""
"""As engine/benchmarks/README.md has it."""
OWN = "Choose yourself"


@dataclass(frozen=True)
class Chosen:
    """What a round is started with: an algorithm's key, its settings, the shared settings."""

    algorithm: str
    config: dict[str, Any]
    train: dict[str, Any]

    @property
    def digest(self) -> str:
        """The same for the same choice; part of the keys of widgets that start from it."""
        plain = json.dumps([self.algorithm, self.config, self.train], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()[:8]


def recommended(opened: OpenProject, *, active: bool) -> Chosen | None:
    """Draw the recommended round; return it once its button is pressed."""
    recommendation = opened.project.training.recommendation()
    st.subheader("Recommended")
    if recommendation is None:
        st.info("Import images first; what suits them is recommended here.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return None
    with st.container(border=True):
        net = NetName.parse(str(recommendation.train.get("net", "")))
        on = f" on {state.plain(net.words)}" if net.base else ""
        st.markdown(f"#### {options.title(recommendation.algorithm)}{on}")
        st.markdown(state.plain(recommendation.reason))
        if net.is_frozen and recommendation.algorithm != "supervised":
            with st.expander("What photos gain", icon=":material/trending_up:"):
                st.markdown(PHOTO_GAINS)
        for warning in recommendation.warnings:
            st.warning(state.plain(warning), icon=":material/warning:")
        chosen = _length(opened, recommendation, active=active)
        pressed = st.button(
            "Start recommended round",
            type="primary",
            icon=":material/play_arrow:",
            key="start_recommended",
            **writing(opened, disabled=active),
        )
        if recommendation.alternatives:
            with st.expander("Other ways to train these images", icon=":material/alt_route:"):
                for place, other in enumerate(recommendation.alternatives):
                    _alternative(place, other)
    return chosen if pressed else None


def _length(opened: OpenProject, timing: Any, *, active: bool) -> Chosen:
    """Let choose how long to train and say how long each choice takes; return the settings of the chosen one."""
    lengths = {one.title: one for one in timing.lengths}
    title = "Standard"
    if len(lengths) > 1:
        title = st.segmented_control("Length", list(lengths), default=title, required=True, key="recommended_length")
    length = lengths.get(title, lengths["Standard"])
    st.caption(f"{state.plain(length.summary)} {_epochs(length.train)}")
    chosen = {
        name: Chosen(timing.algorithm, timing.config | one.config, timing.train | one.train)
        for name, one in lengths.items()
    }
    _times(opened, chosen, length.title, active)
    return chosen[length.title]


def _epochs(train: Mapping[str, Any]) -> str:
    steps = train.get("steps_per_epoch")
    if "epochs" not in train:
        return ""
    return f"{train['epochs']:,} epochs" + (f" of {steps:,} steps." if steps else ".")


def _alternative(place: int, other: Any) -> None:
    words, button = st.columns([3, 1], vertical_alignment="center")
    words.markdown(f"**{state.plain(other.title)}**  \n{state.plain(other.reason)}")
    if button.button(
        "Set up",
        key=f"alternative_{place}",
        help=f"Fills the settings below: {state.plain(other.title)}",
        width="stretch",
    ):
        state.put("own_settings", Chosen(other.algorithm, dict(other.config), dict(other.train)))
        st.rerun()


@state.guarded
def _times(opened: OpenProject, chosen: Mapping[str, Chosen], title: str, active: bool) -> None:
    """Say about how long each length takes, the chosen one first; timed in the background, polled until known."""
    if active:
        return
    order = [title, *(name for name in chosen if name != title)]
    known = all(_time(opened, chosen[name]).done for name in order)
    st.fragment(_times_line, run_every=None if known else 1.0)(opened, chosen, title, known)


@state.guarded
def _times_line(opened: OpenProject, chosen: Mapping[str, Chosen], title: str, known: bool) -> None:
    if opened.project.store.active_round() is not None:
        return  # a timing would disturb it
    times = {name: _time(opened, one) for name, one in chosen.items()}
    if not known and all(time.done for time in times.values()):
        st.rerun(scope="app")
    time = times[title]
    if time.done and time.seconds is None:
        st.markdown(f":material/timer: :gray[Time not estimated: {state.plain(time.how.rstrip('.'))}.]")
        return
    if not time.done:
        st.markdown(":material/timer: :gray[estimating the time …]")
        return
    others = [
        f"{name} {about(other.seconds)}" for name, other in times.items() if name != title and other.seconds is not None
    ]
    beside = f" :gray[({', '.join(others)})]" if others else ""
    st.markdown(f":material/timer: **{about(time.seconds or 0)}**{beside}", help=state.plain(f"Estimate: {time.how}."))


def _time(opened: OpenProject, chosen: Chosen) -> Any:
    return opened.project.training.time(chosen.algorithm, chosen.config, chosen.train)


def about(seconds: float) -> str:
    """Return an estimated time in words, rounded as far as it can be trusted: 133 → about 2 min."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 600:
        return f"about {max(round(seconds / 60), 1)} min"
    if seconds < 3300:
        return f"about {5 * round(seconds / 300)} min"
    hours = seconds / 3600
    return f"about {hours:.1f} h".replace(".0 h", " h") if hours < 10 else f"about {hours:.0f} h"


def own(opened: OpenProject, *, active: bool) -> Chosen | None:
    """Draw the settings of any algorithm, filled with the recommendation; return them once started."""
    if not opened.project.store.counts().images:
        return None
    picked = state.get("own_settings")
    # Kept while the form is open: labels made meanwhile may change the recommendation, never what is on screen.
    start = picked or state.get("own_start") or _recommended_settings(opened)
    state.put("own_start", start)
    # An expander that is closed in the browser stays closed, so what was set up is shown in another box.
    with st.expander(OWN, icon=":material/tune:") if picked is None else st.container(border=True):
        if picked is not None:
            st.markdown(f":material/tune: **{OWN}**")
        offered = options.algorithms()
        keys = list(offered)
        key = st.selectbox(
            "Algorithm",
            keys,
            index=keys.index(start.algorithm) if start.algorithm in keys else 0,
            format_func=lambda one: offered[one].title,
            key=f"own_algorithm_{start.digest}",
        )
        spec = offered[key]
        st.caption(f"{state.plain(spec.summary)}  \nSource: {state.plain(spec.source)}")
        chosen = _form(opened, spec, start)
        if st.toggle("Estimate the time", key="own_time", disabled=active):
            _times(opened, {"These settings": chosen}, "These settings", active)
        if st.button(
            "Start round", icon=":material/play_arrow:", key="start_round", **writing(opened, disabled=active)
        ):
            return chosen
    return None


def _form(opened: OpenProject, spec: Any, start: Chosen) -> Chosen:
    """Draw every setting of an algorithm and of training, filled from `start`; return the values."""
    prefix = f"train_{start.digest}"
    train = config_form(
        options.TRAIN_CONFIG, prefix, only=MAIN_FIELDS, suggestions={"net": options.NETS}, defaults=start.train
    )
    st.caption(f"“auto” is {options.describe_device()} on this machine.")
    algorithm_tab, views_tab, training_tab = st.tabs([spec.title, "Augmentation", "Training"])
    with algorithm_tab:
        defaults = start.config if spec.key == start.algorithm else {}
        config = config_form(spec.config, f"algorithm_{spec.key}_{start.digest}", defaults=defaults)
        if not config:
            st.caption("It has no settings of its own.")
    known = {"net": train["net"]}
    with views_tab:
        train |= config_form(options.TRAIN_CONFIG, prefix, only=VIEW_FIELDS, defaults=start.train, known=known)
        augmentation(opened, train, "own")
    rest = {field.name for field in dataclasses.fields(options.TRAIN_CONFIG)} - {*MAIN_FIELDS, *VIEW_FIELDS}
    with training_tab:
        train |= config_form(options.TRAIN_CONFIG, prefix, only=rest, defaults=start.train, known=known)
    return Chosen(spec.key, config, train)


def _recommended_settings(opened: OpenProject) -> Chosen:
    """Return the recommendation in its standard length, or an algorithm with all its defaults.

    One that labels a set says nothing of training: the settings of the first other way stand there, for who takes that.
    """
    recommendation = opened.project.training.recommendation()
    if recommendation is None:
        return Chosen(next(iter(options.algorithms())), {}, {})
    key, others = recommendation.algorithm, recommendation.alternatives
    as_a_set = options.algorithms()[key].labels_a_set and others
    return Chosen(key, recommendation.config, others[0].train if as_a_set else recommendation.standard)


def augmentation(opened: OpenProject, train: Mapping[str, Any], key: str) -> None:
    """Draw some of the project's images beside weak and strong views of them."""
    st.fragment(_augmentation)(opened, dict(train), key)


@state.guarded
def _augmentation(opened: OpenProject, train: dict[str, Any], key: str) -> None:
    if NetName.parse(str(train.get("net", ""))).is_frozen:
        st.caption("This network's features are computed once from the images as they are; noise varies the features.")
        return
    from engine.project.preview import augmentation_preview  # brings torch, which other pages do without

    draw = int(state.get(f"draw_{key}", 0))
    try:
        preview = augmentation_preview(opened.project.workspace, train, IMAGES, COPIES, draw)
    except StarlingError as error:
        state.show_error(error)
        return
    parts = (("Image", preview.original), ("Weak views", preview.weak), ("Strong views", preview.strong))
    for column, (title, picture) in zip(st.columns(preview.widths, gap=None), parts, strict=True):
        column.caption(title)
        column.image(picture, width="stretch")
    st.caption("If a flipped or distorted image would change its class, choose another augmentation.")
    if st.button("Another draw", icon=":material/casino:", key=f"another_{key}"):
        state.put(f"draw_{key}", draw + 1)
        st.rerun(scope="fragment")


def start(opened: OpenProject, chosen: Chosen) -> None:
    """Queue the round and look at it, or say why it cannot start."""
    try:
        record = opened.project.training.queue(chosen.algorithm, chosen.config, chosen.train)
    except StarlingError as error:
        state.show_error(error)
        if not opened.project.store.counts().labeled:
            st.page_link("pages/review_labels.py", label="Label a first batch", icon=":material/keyboard:")
        return
    opened.engine.wake()
    state.put("own_start", None)
    state.put("own_settings", None)
    state.put("round", record.number)
    st.rerun()
