"""The review grid on digits: the wrong ones marked, all others accepted as one batch, nothing lost, all taken back."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NothingToUndo
from engine.importers.scan import ImportSource
from engine.project.opened import Project
from engine.records.labels import Decision
from engine.rounds.supervisor.follow import follow
from engine.rounds.supervisor.thread import EngineThread
from tests.browser.test_whole_loop import Pictures, go, settle, wait_until

expect = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright").expect
pytestmark = pytest.mark.browser
IMAGES, LABELED, PAGE = 1797, 180, 200
OPEN = IMAGES - LABELED


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,797 digits with 180 labels and a promoted round."""
    folder = tmp_path_factory.mktemp("grid") / "home" / "digits"
    with Project.create(folder, "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=LABELED)
        project.imports.commit(project.imports.scan(source))
        engine = EngineThread(project.store, folder)
        engine.start()
        project.training.queue("pseudo_label", {}, {"epochs": 4, "run_baseline": False, "steps_per_epoch": 40})
        record = list(follow(project.store, 1))[-1]
        engine.stop()
        assert record.report is not None, record.error
    return folder


@pytest.fixture
def project(root: Path) -> Any:
    """The project as another process sees it; every test leaves it without decisions."""
    with Project.open(root) as opened:
        yield opened
        for batch in {
            entry.batch for entry in opened.store.history(limit=5000) if entry.batch and entry.action != "import"
        }:
            with contextlib.suppress(NothingToUndo):
                opened.store.undo(f"clean-{batch}", "local", batch, anyones=True)


@pytest.fixture
def shown(page: Any, start_app: Callable[..., Any], root: Path, project: Any) -> Any:
    app = start_app(root.parent, str(root))
    page.goto(app.url)
    open_grid(page)
    return page


def open_grid(page: Any) -> None:
    go(page, "Review")
    show_grid(page)


def show_grid(page: Any) -> None:
    page.get_by_text("Grid", exact=True).first.click()
    page.get_by_test_id("grid-tile").first.locator("img[data-state=ready]").wait_for()
    settle(page)


def number(page: Any, testid: str) -> int:
    return int(re.sub(r"\D.*", "", page.get_by_test_id(testid).inner_text().replace(",", "")))


def tile(page: Any, place: int) -> Any:
    return page.locator(f"[data-testid=grid-tile][data-at='{place}']")


def image_of(page: Any, place: int) -> int:
    return int(tile(page, place).get_attribute("data-id"))


def decided(project: Any) -> int:
    return int(project.store.counts().human + project.store.counts().accepted)


def images_on_screen(page: Any) -> set[int]:
    """The images of whose tiles at least half can be seen, once all their pictures have come."""
    half_visible = """wall => {
        const frame = wall.getBoundingClientRect();
        const [top, bottom] = [Math.max(0, frame.top), Math.min(innerHeight, frame.bottom)];
        return [...wall.querySelectorAll("[data-testid=grid-tile]")].filter((tile) => {
            const box = tile.querySelector("img").getBoundingClientRect();
            return Math.min(bottom, box.bottom) - Math.max(top, box.top) >= box.height / 2;
        }).map((tile) => [Number(tile.dataset.id), tile.querySelector("img").dataset.state === "ready"]);
    }"""
    wall = page.get_by_test_id("grid-wall")
    wait_until(page, lambda: all(ready for _, ready in wall.evaluate(half_visible)), 10)
    return {image_id for image_id, _ in wall.evaluate(half_visible)}


def seen_of(entries: list[Any]) -> set[int]:
    """The images whose tiles were on the screen, as the entries of a batch say and their sources hold."""
    seen = {entry.image_id for entry in entries if entry.seen_seconds > 0}
    assert all(0 < entry.seen_seconds < 300 for entry in entries if entry.image_id in seen)
    for entry in entries:
        if entry.action == "accept":
            assert entry.source == ("accepted_in_batch" if entry.image_id in seen else "accepted_by_threshold")
    assert not any(entry.reviewed for entry in entries)
    return seen


def test_classes_are_grouped_and_sorted_and_counts_are_on_the_tiles(shown: Any, project: Any) -> None:
    found = project.results.predictions()
    states = {state.image_id: state.label for state in project.store.states()}
    names = {
        int(image): found.classes[k]
        for image, k in zip(found.image_ids, found.probabilities.argmax(1), strict=True)
        if states.get(int(image)) is None
    }
    assert len(names) == OPEN
    expect(shown.get_by_test_id("grid-left")).to_have_text(f"{OPEN:,} images")
    counts = Counter(names.values())
    for chip in shown.get_by_test_id("grid-filter").all()[1:]:
        name = chip.get_attribute("data-class")
        assert chip.inner_text().split() == [name, str(counts[name])]
    shown.get_by_test_id("grid-filter").filter(has_text=re.compile("^7")).click()
    expect(shown.get_by_test_id("grid-page")).to_have_text(f"Page 1 of {-(-counts['7'] // PAGE)}")
    first = [image_of(shown, place) for place in range(8)]
    assert {names[image] for image in first} == {"7"}
    sure = dict(zip(found.image_ids.tolist(), found.probabilities.max(1).tolist(), strict=True))
    least = sorted(sure[image] for image in names if names[image] == "7")[:8]
    assert [sure[image] for image in first] == pytest.approx(least, abs=1e-4)
    expect(tile(shown, 0).locator(".tile-value")).to_have_text("")  # nothing is measured yet
    scale = project.measured.scale(found.round)
    assert (scale.n, scale.tier) == (0, "none")
    expect(shown.get_by_text(f"predictions of round {found.round} · {scale.brief}")).to_be_visible()
    shown.get_by_test_id("grid-sort").select_option("flips")
    expect(tile(shown, 0).locator(".tile-value")).to_have_text(re.compile(r"^\d+$"))
    values = [int(tile(shown, place).locator(".tile-value").inner_text()) for place in range(8)]
    assert values == sorted(values, reverse=True)


def test_page_is_accepted_as_one_batch_but_for_the_marked_and_taken_back_by_one_key(
    shown: Any, project: Any, tmp_path: Path
) -> None:
    pictures = Pictures(shown, tmp_path)
    before, seq = decided(project), project.store.head_seq()
    corrected, left = image_of(shown, 1), image_of(shown, 3)
    following = image_of_page_two(shown)
    tile(shown, 1).click()
    shown.keyboard.press("3")
    expect(tile(shown, 1)).to_have_attribute("data-state", "marked")
    expect(tile(shown, 1)).to_contain_text("→ 3")
    tile(shown, 3).click()
    pictures.take("review_grid")
    expect(shown.get_by_test_id("grid-accept")).to_contain_text(f"Accept the other {PAGE - 2}")
    on_screen = images_on_screen(shown)
    assert len(on_screen) < PAGE - 2
    shown.keyboard.press("Shift+A")
    expect(shown.get_by_test_id("grid-outcome")).to_contain_text(f"Saved: {PAGE - 2} accepted, 1 corrected.")

    entries = [entry for entry in project.store.history(limit=2 * PAGE) if entry.seq > seq]
    assert Counter(entry.action for entry in entries) == {"accept": PAGE - 2, "correct": 1}
    assert len({entry.batch for entry in entries}) == 1
    assert {entry.round for entry in entries} == {1}
    assert [(entry.image_id, entry.label) for entry in entries if entry.action == "correct"] == [(corrected, "3")]
    seen = seen_of(entries)
    assert on_screen & {entry.image_id for entry in entries} <= seen  # and what the other sizes of the pictures showed
    assert len(seen) < PAGE - 1
    assert left not in {entry.image_id for entry in entries}
    assert decided(project) == before + PAGE - 1
    expect(shown.get_by_test_id("grid-left")).to_have_text(f"{OPEN - PAGE + 1:,} images")
    expect(shown.get_by_text(re.compile(f"{LABELED + PAGE - 1} labeled"))).to_be_visible()
    assert image_of(shown, 0) == following, "the next page does not come in front"
    shown.get_by_test_id("grid-filter-marked").click()
    assert [image_of(shown, 0), shown.get_by_test_id("grid-tile").count()] == [left, 1]

    shown.keyboard.press("Backspace")
    expect(shown.get_by_test_id("grid-outcome")).to_contain_text(f"Took back {PAGE - 1} answers.")
    assert decided(project) == before
    expect(shown.get_by_test_id("grid-left")).to_have_text(f"{OPEN:,} images")
    assert image_of(shown, 1) == corrected
    expect(tile(shown, 1)).to_contain_text("→ 3")
    expect(shown.get_by_text(re.compile(f"{LABELED} labeled"))).to_be_visible()


def image_of_page_two(page: Any) -> int:
    page.keyboard.press("PageDown")
    expect(page.get_by_test_id("grid-page")).to_contain_text("Page 2")
    tile(page, PAGE).wait_for()
    found = image_of(page, PAGE)
    page.keyboard.press("PageUp")
    tile(page, 0).wait_for()
    return found


def test_batch_outlives_a_lost_answer_and_a_reload_and_is_recorded_once(shown: Any, project: Any) -> None:
    before, seq = decided(project), project.store.head_seq()
    sent: list[list[str]] = []

    def lose_the_answer(route: Any) -> None:
        sent.append([one["uid"] for one in json.loads(route.request.post_data)["decisions"]])
        if len(sent) == 1:
            route.fetch()  # it is recorded, but nobody hears of it
        route.abort()

    shown.route("**/decisions", lose_the_answer)
    shown.get_by_test_id("grid-accept").click()
    state = shown.get_by_test_id("grid-save-state")
    expect(state).to_contain_text(f"{PAGE} not saved")
    expect(state).to_contain_text("trying again")
    expect(tile(shown, 0)).to_have_attribute("data-state", "flying")
    assert decided(project) == before + PAGE
    wait_until(shown, lambda: len(sent) > 1, 10)
    assert len(sent[0]) == PAGE
    assert sent[0] == sent[1], "another try has other uids"
    shown.reload()
    shown.unroute("**/decisions")
    open_grid(shown)
    expect(shown.get_by_test_id("grid-save-state")).to_have_text("saved", timeout=20_000)
    assert shown.evaluate("Object.keys(localStorage).filter(key => key.startsWith('starling.batch|')).length") == 0
    entries = [entry for entry in project.store.history(limit=3 * PAGE) if entry.seq > seq]
    assert len(entries) == len({entry.image_id for entry in entries}) == PAGE
    shown.keyboard.press("Backspace")
    expect(shown.get_by_test_id("grid-outcome")).to_contain_text(f"Took back {PAGE} answers.")
    expect(shown.get_by_test_id("grid-left")).to_have_text(f"{OPEN:,} images")


def test_image_changed_elsewhere_is_named_and_left_alone(shown: Any, project: Any) -> None:
    image = image_of(shown, 2)
    version = {state.image_id: state.version for state in project.store.states()}.get(image, 0)
    other = Decision("elsewhere", image, version, "label", "4", "other")
    assert project.labels.decide([other], "elsewhere-batch")[0].status == "saved"
    shown.get_by_test_id("grid-accept").click()
    expect(shown.get_by_test_id("grid-outcome")).to_contain_text(f"Saved: {PAGE - 1} accepted.")
    notice = shown.get_by_test_id("grid-notice")
    expect(notice).to_contain_text("1 not recorded: changed elsewhere after you saw them.")
    expect(notice).to_contain_text(f"{project.store.images([image])[0].name} (now “4”)")
    assert {s.image_id: s.label for s in project.store.states()}[image] == "4"
    notice.get_by_test_id("grid-notice-dismiss").click()
    expect(notice).to_have_count(0)


def test_marks_by_mouse_and_keys(shown: Any) -> None:
    tile(shown, 2).click()
    tile(shown, 5).click(modifiers=["Shift"])
    assert number(shown, "grid-marked-words") == 4
    shown.keyboard.press("x")
    for place in range(2, 6):
        expect(tile(shown, place)).to_contain_text("reject")
    expect(shown.get_by_test_id("grid-save-marked")).to_contain_text("Save only the 4 answered")
    shown.keyboard.press("s")
    expect(shown.get_by_test_id("grid-outcome")).to_have_text("Saved: 4 rejected.")
    shown.keyboard.press("Backspace")
    expect(shown.get_by_test_id("grid-outcome")).to_contain_text("Took back 4 answers.")
    expect(tile(shown, 2)).to_contain_text("reject")
    shown.get_by_text("One by one", exact=True).first.click()
    shown.get_by_test_id("review-image").wait_for()
    show_grid(shown)
    expect(tile(shown, 2)).to_contain_text("reject")
    shown.keyboard.press("Escape")
    expect(tile(shown, 2)).to_have_attribute("data-state", "open")

    shown.keyboard.press("Home")
    shown.keyboard.press("ArrowRight")
    expect(tile(shown, 1)).to_have_attribute("data-focus", "yes")
    shown.keyboard.press("Space")
    expect(tile(shown, 1)).to_have_attribute("data-state", "marked")
    shown.keyboard.press("ArrowDown")
    below = int(shown.locator("[data-testid=grid-tile][data-focus=yes]").get_attribute("data-at"))
    assert below > 3
    shown.keyboard.press("Enter")
    expect(shown.get_by_test_id("grid-large")).to_be_visible()
    wait_until(shown, lambda: shown.get_by_test_id("grid-large-image").evaluate("node => node.naturalWidth") > 0, 10)
    shown.keyboard.press("Space")
    shown.keyboard.press("Escape")
    expect(shown.get_by_test_id("grid-large")).to_be_hidden()
    expect(tile(shown, below)).to_have_attribute("data-state", "marked")
    shown.keyboard.press("h")
    expect(shown.get_by_test_id("grid-help-panel")).to_be_visible()
    shown.keyboard.press("Escape")
    expect(shown.get_by_test_id("grid-help-panel")).to_be_hidden()
    expect(tile(shown, below)).to_have_attribute("data-state", "marked")
    shown.mouse.move(0, 0)
    tile(shown, 3).hover()
    expect(shown.get_by_test_id("grid-hover")).to_be_visible()
    shown.mouse.move(0, 0)
    expect(shown.get_by_test_id("grid-hover")).to_be_hidden()
    tile(shown, 2).hover()
    shown.set_viewport_size({"width": 1240, "height": 900})  # the tiles are made anew while the pointer rests
    expect(shown.get_by_test_id("grid-hover")).to_be_visible()
    picture = shown.get_by_test_id("grid-hover").locator("img")
    expect(picture).to_have_attribute("src", re.compile(rf"/image/{image_of(shown, 2)}\?"))


def test_all_that_match_are_accepted_in_one_request(shown: Any, project: Any) -> None:
    before = decided(project)
    sent: list[int] = []
    decisions = re.compile("/decisions$")
    shown.on("request", lambda one: decisions.search(one.url) and sent.append(len(one.post_data_json["decisions"])))
    shown.get_by_test_id("grid-filter").filter(has_text=re.compile("^1")).click()
    ones = int(shown.get_by_test_id("grid-filter").filter(has_text=re.compile("^1")).inner_text().split()[1])
    shown.get_by_test_id("grid-page-size").select_option("100")
    expect(shown.get_by_test_id("grid-page")).to_have_text(f"Page 1 of {-(-ones // 100)}")
    tile(shown, 0).click()
    shown.keyboard.press("Control+a")
    expect(shown.get_by_test_id("grid-accept")).to_contain_text(f"Accept the other {ones - 1} selected")
    on_screen = images_on_screen(shown)
    expect(shown.get_by_test_id("grid-rest")).to_contain_text("not on the screen yet")
    shown.get_by_test_id("grid-accept").click()
    expect(shown.get_by_test_id("grid-outcome")).to_contain_text(f"Saved: {ones - 1} accepted.")
    assert sent == [ones - 1]
    assert decided(project) == before + ones - 1
    entries = project.store.history(limit=ones - 1)
    assert seen_of(entries) == on_screen & {entry.image_id for entry in entries}
    expect(shown.get_by_test_id("grid-tile")).to_have_count(1)


def test_fifty_thousand_images_keep_few_tiles_and_a_large_batch_asks_first(shown: Any) -> None:
    n = 50_000
    body = {
        "round": 1, "classes": list("0123456789"), "sort": "margin", "total": n, "ids": list(range(1, n + 1)),
        "predicted": [place * 10 // n for place in range(n)], "confidence": [0.5] * n, "value": [0.25] * n,
        "scale": {"tier": "percent", "words": [], "brief": "", "note": ""}, "step": [50] * n,
        "version": [0] * n, "label": [-1] * n,
    }  # fmt: skip
    posted: list[str] = []
    shown.on("request", lambda one: one.method == "POST" and posted.append(one.url))
    shown.route("**/grid?*", lambda route: route.fulfill(json=body))
    shown.get_by_test_id("grid-sort").select_option("margin")
    expect(shown.get_by_test_id("grid-left")).to_have_text("50,000 images")
    shown.get_by_test_id("grid-page-size").select_option("500")
    expect(shown.get_by_test_id("grid-page")).to_have_text("Page 1 of 100")
    assert 10 < shown.get_by_test_id("grid-tile").count() < 150
    shown.get_by_test_id("grid-wall").evaluate("node => { node.scrollTop = node.scrollHeight; }")
    tile(shown, 499).wait_for()
    assert shown.get_by_test_id("grid-tile").count() < 150
    shown.get_by_test_id("grid-wall").focus()
    shown.keyboard.press("Control+a")
    shown.keyboard.press("Shift+A")
    question = shown.get_by_test_id("grid-question-text")
    expect(question).to_contain_text("Accept 50,000 predictions")
    expect(question).to_contain_text("5,000 as “0”")
    shown.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert not [url for url in posted if url.endswith("/decisions")]
