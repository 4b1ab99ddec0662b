// A larger look at one image: a card beside the pointer after a rest, or the whole wall for Enter.

import { el, part, setText, show } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { pictureOf } from "../common/pictures.js";
import { pixelate } from "../common/pixels.js";
import { gridSureWords } from "./table.js";

/** @import { ReviewItem } from "../common/wire.d.ts" */
/** @import { GridLook, GridSession } from "./session.js" */

const GRID_HOVER_REST = 350; // ms on one image before its larger picture comes
const GRID_CARD = 232; // px, the card's least width
const GRID_CARD_ZOOM = 1.8; // its picture against the tile's

/**
 * @param {string} base
 * @param {GridSession} session
 * @param {() => HTMLElement} where the element that the card and the large picture lie in
 * @param {() => void} onOver the large picture has come over the others, or has gone
 */
export function buildGridLens(base, session, where, onOver) {
  const cardImage = el("img", { alt: "" });
  const cardWords = el("span", { class: "lens-words" });
  const card = el("div", { class: "lens-card", hidden: true, "aria-hidden": "true", testid: "grid-hover" }, cardImage, cardWords);
  const image = el("img", { alt: "", testid: "grid-large-image" });
  const name = el("strong", { testid: "grid-large-class" });
  const about = el("span", { class: "faint" });
  const file = el("span", { class: "faint lens-file" });
  const markWords = el("span");
  const mark = el("button", { type: "button", testid: "grid-large-mark", onclick: () => session.toggle(session.look().focus) },
    markWords, el("kbd", {}, "Space"));
  const large = el("div", { class: "lens-large", hidden: true, testid: "grid-large", role: "group", "aria-label": "Large picture" },
    el("div", { class: "lens-stage" }, image),
    el("div", { class: "lens-foot" }, name, about, file, mark,
      el("button", { type: "button", class: "quiet", onclick: close, testid: "grid-large-close" }, "Close ", el("kbd", {}, "Esc"))));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let hovered = -1;
  /** @type {number | null} */
  let shown = null; // id of the large picture
  cardImage.onload = pixelate;
  image.onload = (event) => {
    pixelate(event);
    if (shown !== null) session.screen.watch(image, shown);
  };

  /** @param {number} row */
  function words(row) {
    const { table } = session;
    const label = table.label[row] === null ? "" : `label “${table.label[row]}”`;
    return [gridSureWords(table, row), label].filter(Boolean).join(" · ");
  }

  /**
   * @param {number} at place of an image, -1 for none
   * @param {HTMLElement | null} tile
   */
  function hover(at, tile) {
    if (at === hovered) return;
    hovered = at;
    clearTimeout(timer);
    show(card, false);
    if (at < 0 || tile === null || isOpen()) return;
    timer = setTimeout(() => openCard(at, tile.dataset.id), GRID_HOVER_REST);
  }

  /**
   * The wall may have been laid out anew since the pointer came to rest: the image then has another tile.
   * @param {number} at
   * @param {string | undefined} id the image that was there
   */
  function openCard(at, id) {
    const tile = where().querySelector(`.tile[data-at="${at}"]`);
    if (!(tile instanceof HTMLElement) || tile.dataset.id !== id) {
      hovered = -1;
      return;
    }
    const row = session.table.list[at];
    const frame = where().getBoundingClientRect();
    const box = tile.getBoundingClientRect();
    cardImage.removeAttribute("src"); // not the picture before
    cardImage.src = pictureOf(base, session.table.ids[row]);
    cardWords.replaceChildren(el("strong", {}, session.table.className(row)), el("span", { class: "faint" }, words(row)));
    show(card, true);
    const width = Math.max(GRID_CARD, part(tile, "img").clientWidth * GRID_CARD_ZOOM);
    card.style.width = `${width}px`;
    const right = box.right - frame.left + 10;
    const x = right + width > frame.width ? box.left - frame.left - width - 10 : right;
    const y = Math.max(6, Math.min(box.top - frame.top - 40, frame.height - card.offsetHeight - 6));
    card.style.transform = `translate(${Math.max(6, x)}px, ${y}px)`;
  }

  /** @returns {boolean} */
  function isOpen() {
    return !large.hidden;
  }

  /** @param {number} at */
  function open(at) {
    session.focusAt(at);
    hover(-1, null);
    show(large, true);
    onOver();
    paint(session.look());
  }

  // Returns whether it was open.
  function close() {
    const was = isOpen();
    show(large, false);
    shown = null;
    session.screen.unwatch(image);
    if (was) onOver();
    return was;
  }

  /** @param {GridLook} look */
  function paint({ table, focus }) {
    if (!isOpen()) return;
    const row = focus >= 0 ? table.list[focus] : undefined;
    if (row === undefined) {
      close();
      return;
    }
    const id = table.ids[row];
    if (id !== shown) {
      shown = id;
      session.screen.unwatch(image);
      image.removeAttribute("src");
      image.src = pictureOf(base, id);
      setText(file, "");
      nameOf(id);
    }
    const given = table.marks.get(id);
    const marked = table.marks.has(id);
    large.dataset.marked = marked ? "yes" : "no";
    setText(name, given ? `${table.className(row)} → ${given.label ?? "reject"}` : table.className(row));
    setText(about, words(row));
    const way = table.group ? ["Mark", "No longer marked"] : ["Mark as wrong", "Not wrong after all"];
    setText(markWords, way[Number(marked)]);
  }

  /** @param {number} id */
  async function nameOf(id) {
    const item = /** @type {ReviewItem | null} */ (await fetchJson(`${base}/item/${id}`).catch(() => null)); // only its name
    if (item && shown === id) setText(file, item.name);
  }

  return { card, large, hover, open, close, paint, isOpen, stop: () => clearTimeout(timer) };
}
