// A larger look at one image: a card beside the pointer after a rest, or the whole wall for Enter.

import { el, setText, show } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { pixelate } from "../common/pixels.js";
import { gridSureWords } from "./table.js";

const GRID_HOVER_REST = 350; // ms on one image before its larger picture comes
const GRID_CARD = 232; // px, the card's least width
const GRID_CARD_ZOOM = 1.8; // its picture against the tile's

// where(): the element that the card and the large picture lie in.
export function buildGridLens(base, session, where) {
  const cardImage = el("img", { alt: "" });
  const cardWords = el("span", { class: "lens-words" });
  const card = el("div", { class: "lens-card", hidden: true, "aria-hidden": "true", testid: "grid-hover" }, cardImage, cardWords);
  const image = el("img", { alt: "", testid: "grid-large-image" });
  const name = el("strong", { testid: "grid-large-class" });
  const about = el("span", { class: "faint" });
  const file = el("span", { class: "faint lens-file" });
  const mark = el("button", { type: "button", testid: "grid-large-mark", onclick: () => session.toggle(session.look().focus) },
    el("span", {}), el("kbd", {}, "Space"));
  const large = el("div", { class: "lens-large", hidden: true, testid: "grid-large", role: "group", "aria-label": "Large picture" },
    el("div", { class: "lens-stage" }, image),
    el("div", { class: "lens-foot" }, name, about, file, mark,
      el("button", { type: "button", class: "quiet", onclick: () => close(), testid: "grid-large-close" }, "Close ", el("kbd", {}, "Esc"))));
  let timer = 0;
  let hovered = -1;
  let shown = null; // id of the large picture
  cardImage.onload = image.onload = pixelate;

  function words(row) {
    const { table } = session;
    const label = table.label[row] === null ? "" : ` · label “${table.label[row]}”`;
    const sure = Number.isFinite(table.confidence[row]) ? gridSureWords(table.confidence[row]) : "";
    return `${sure}${label}`;
  }

  function hover(at, tile) {
    if (at === hovered) return;
    hovered = at;
    clearTimeout(timer);
    show(card, false);
    if (at < 0 || !large.hidden) return;
    timer = setTimeout(() => openCard(at, tile), GRID_HOVER_REST);
  }

  function openCard(at, tile) {
    if (!tile.isConnected) return;
    const row = session.table.list[at];
    const frame = where().getBoundingClientRect();
    const box = tile.getBoundingClientRect();
    cardImage.removeAttribute("src"); // not the picture before
    cardImage.src = `${base}/image/${session.table.ids[row]}`;
    cardWords.replaceChildren(el("strong", {}, session.table.className(row)), el("span", { class: "faint" }, words(row)));
    show(card, true);
    const width = Math.max(GRID_CARD, tile.querySelector("img").clientWidth * GRID_CARD_ZOOM);
    card.style.width = `${width}px`;
    const right = box.right - frame.left + 10;
    const x = right + width > frame.width ? box.left - frame.left - width - 10 : right;
    const y = Math.max(6, Math.min(box.top - frame.top - 40, frame.height - card.offsetHeight - 6));
    card.style.transform = `translate(${Math.max(6, x)}px, ${y}px)`;
  }

  function open(at) {
    session.focusAt(at);
    hover(-1, null);
    show(large, true);
    paint(session.look());
  }

  function close() {
    const was = !large.hidden;
    show(large, false);
    shown = null;
    return was;
  }

  function paint({ table, focus }) {
    if (large.hidden) return;
    const row = focus >= 0 ? table.list[focus] : undefined;
    if (row === undefined) {
      close();
      return;
    }
    const id = table.ids[row];
    if (id !== shown) {
      shown = id;
      image.removeAttribute("src");
      image.src = `${base}/image/${id}`;
      setText(file, "");
      fetchJson(`${base}/item/${id}`).then((item) => shown === id && setText(file, item.name), () => undefined); // only its name
    }
    const given = table.marks.get(id);
    const marked = table.marks.has(id);
    large.dataset.marked = marked ? "yes" : "no";
    setText(name, given ? `${table.className(row)} → ${given.label ?? "reject"}` : table.className(row));
    setText(about, words(row));
    setText(mark.firstChild, marked ? "Not wrong after all" : "Mark as wrong");
  }

  return { card, large, hover, open, close, paint, isOpen: () => !large.hidden, stop: () => clearTimeout(timer) };
}
