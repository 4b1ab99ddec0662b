"""The page holds the whole map, fetches nothing, and samples when there is too much."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine.exporters.pictures.page import MOST_POINTS, html, sample
from tests.engine.exporters.pictures.map_samples import a_scene, page_data, unpacked


def test_html_holds_positions_and_classes_of_all_epochs() -> None:
    scene = a_scene(n=6, stops=2)
    data = page_data(html(scene))
    places = unpacked(data["places"], "<i2").reshape(6, 2) / 32_000
    low, high = scene.xy.min(axis=0), scene.xy.max(axis=0)
    assert places * (high - low).max() / 2 + (low + high) / 2 == pytest.approx(scene.xy, abs=1e-3)
    assert unpacked(data["label"], "<i2").tolist() == scene.label.tolist()
    assert unpacked(data["pseudo"], "<i2").reshape(2, 6).tolist() == scene.pseudo.tolist()
    assert "confidence" not in data  # a number that nothing has measured
    assert data["epochs"] == [1, 2]
    assert sorted(data["order"]) == list(range(6))


def test_html_needs_no_other_file_and_is_not_allowed_to_fetch_one() -> None:
    page = html(a_scene())
    assert b"plotly.js v" in page
    assert not re.search(rb"<(script|link|img|iframe)[^>]+(src|href)=", page.split(b"<script>")[0])
    assert b"default-src 'none'" in page


def test_html_of_2000_images_over_30_epochs_stays_below_8_mb() -> None:
    xy = np.random.default_rng(0).normal(size=(30, 2000, 2)).astype(np.float32)
    assert len(html(a_scene(n=2000, stops=30, classes=10, xy=xy))) < 8_000_000


def test_html_of_many_images_shows_a_fixed_sample_with_all_labeled_ones_and_says_so() -> None:
    n = MOST_POINTS + 1000
    label = np.where(np.arange(n) % 50 == 0, 0, -1).astype(np.int16)
    xy = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    scene = a_scene(n=n, stops=1, label=label, pseudo=np.where(label < 0, 1, -1)[None].astype(np.int16), xy=xy)
    kept = sample(scene)
    assert len(kept) == len(set(kept.tolist())) == MOST_POINTS
    assert set(np.flatnonzero(label >= 0).tolist()) <= set(kept.tolist())
    assert (kept == sample(scene)).all()
    page = html(scene)
    assert b"points: 20,000, all labeled images and a random sample of the others" in page
    data = page_data(page)
    assert len(unpacked(data["label"], "<i2")) == MOST_POINTS
    assert [row["counts"] for row in data["legend"][:2]] == [[420], [n - 420]]  # of all images
    assert b"random sample" not in html(a_scene())
