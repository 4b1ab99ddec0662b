// Above the wall: how far it is, the classes with their counts, the order, the sizes, and the pages.

import { count, el, setText, show } from "../common/dom.js";
import { waitingWords } from "../common/words.js";
import { GRID_PAGES, GRID_SIZES } from "./choices.js";
import { GRID_ALL, GRID_MARKED } from "./table.js";

/** @import { GridLook, GridSession } from "./session.js" */

/**
 * @param {GridSession} session
 * @param {() => void} onHelp
 */
export function buildGridTop(session, onHelp) {
  const left = el("strong", { testid: "grid-left" });
  const about = el("span", {});
  const save = el("span", { class: "save", role: "status", testid: "grid-save-state" });
  const help = el("button", { class: "quiet", type: "button", onclick: onHelp, testid: "grid-help", "aria-expanded": "false" },
    "Keys ", el("kbd", {}, "h"));
  const again = el("button", { class: "quiet", type: "button", onclick: () => session.load(), testid: "grid-again" }, "Look again");
  const node = el("div", { class: "top" }, el("span", { class: "progress" }, left, about), save, again, help);

  /** @param {GridLook} look */
  function paint({ table, saving, loading }) {
    setText(left, table.loaded ? `${count(table.left)} ${table.left === 1 ? "image" : "images"}` : "");
    const round = table.round === null ? "" : ` · predictions of round ${table.round}`;
    setText(about, loading ? " · loading…" : [round, table.scale?.brief].filter(Boolean).join(" · "));
    about.title = table.scale?.note ?? "";
    const [kind, text] = gridSaveWords(saving);
    save.dataset.kind = kind;
    setText(save, text);
  }
  return { node, help, paint };
}

/** @param {GridLook["saving"]} saving */
function gridSaveWords(saving) {
  if (!saving.jobs) return ["saved", "saved"];
  const amount = count(saving.pending);
  return saving.undoing ? waitingWords(saving, "undo", "taking back…") : waitingWords(saving, amount, `saving ${amount}…`);
}

/** @param {GridSession} session */
export function buildGridChips(session) {
  const node = el("div", { class: "filters", role: "group", "aria-label": "Predicted class", testid: "grid-classes" });
  const chip = (/** @type {number} */ filter, /** @type {string} */ name) => {
    const words = el("span", { class: "filter-name" }, name);
    const number = el("span", { class: "filter-count" });
    const button = el("button", {
      type: "button", class: "filter", testid: filter === GRID_MARKED ? "grid-filter-marked" : "grid-filter", title: name,
      "data-class": filter === GRID_ALL ? "" : name, onclick: () => session.setFilter(filter),
    }, words, number);
    return { filter, button, name: words, number };
  };
  const all = chip(GRID_ALL, "All");
  const marked = chip(GRID_MARKED, "✗ Marked");
  let names = "";
  /** @type {ReturnType<typeof chip>[]} */
  let chips = [];

  /** @param {GridLook} look */
  function paint({ table }) {
    const key = JSON.stringify(table.classes);
    if (key !== names) {
      names = key;
      chips = table.classes.map((name, k) => chip(k, name));
      node.replaceChildren(all.button, ...chips.map((one) => one.button), marked.button);
    }
    show(node, table.round !== null || !table.group); // nothing is predicted that could be chosen
    for (const one of [all, ...chips, marked]) {
      const { filter } = one;
      const n = filter === GRID_ALL ? table.left : filter === GRID_MARKED ? table.marks.size : table.counts[filter] || 0;
      setText(one.number, count(n));
      if (one === marked) setText(one.name, table.group ? "✓ Marked" : "✗ Marked");
      one.button.setAttribute("aria-pressed", String(table.filter === filter));
      show(one.button, n > 0 || filter === table.filter || filter === GRID_ALL);
    }
  }
  return { node, paint };
}

/**
 * @param {GridSession} session
 * @param {{ onSize: (index: number) => void, onPages: (size: number) => void, onSort: (sort: string) => void }} listeners
 */
export function buildGridControls(session, { onSize, onPages, onSort }) {
  const sort = el("select", { "aria-label": "First come", testid: "grid-sort" });
  const size = el("input", {
    type: "range", min: 0, max: GRID_SIZES.length - 1, step: 1, "aria-label": "Size of the pictures", testid: "grid-size",
  });
  const sizeName = el("span", { class: "size-name" });
  const pages = el("select", { "aria-label": "Images on a page", testid: "grid-page-size" },
    ...GRID_PAGES.map((n) => el("option", { value: n }, `${n} a page`)));
  const back = el("button", { type: "button", testid: "grid-page-back", title: "Page before (PageUp)", onclick: () => turn(-1) }, "‹");
  const forth = el("button", { type: "button", testid: "grid-page-forth", title: "Next page (PageDown)", onclick: () => turn(1) }, "›");
  const where = el("span", { class: "pager-words", testid: "grid-page" });
  const node = el("div", { class: "controls" },
    el("label", { class: "control" }, el("span", { class: "faint" }, "Order"), sort),
    el("label", { class: "control" }, el("span", { class: "faint" }, "Size"), size, sizeName), pages,
    el("span", { class: "pager" }, back, where, forth));
  let orders = "";
  sort.addEventListener("change", () => onSort(sort.value));
  size.addEventListener("input", () => onSize(Number(size.value)));
  pages.addEventListener("change", () => onPages(Number(pages.value)));

  const turn = (/** @type {number} */ step) => session.go(session.table.page + step);

  /** @param {[string, string][]} sorts key and title of each order */
  function setSorts(sorts) {
    const key = JSON.stringify(sorts);
    if (key === orders) return;
    orders = key;
    sort.replaceChildren(...sorts.map(([value, title]) => el("option", { value }, title)));
  }

  /**
   * @param {GridLook} look
   * @param {number} sizeIndex
   */
  function paint({ table, query }, sizeIndex) {
    sort.value = query.sort;
    size.value = String(sizeIndex);
    setText(sizeName, GRID_SIZES[sizeIndex][0]);
    size.setAttribute("aria-valuetext", GRID_SIZES[sizeIndex][0]);
    pages.value = String(table.pageSize);
    setText(where, `Page ${count(table.page + 1)} of ${count(table.pages())}`);
    back.disabled = table.page === 0;
    forth.disabled = table.page >= table.pages() - 1;
  }
  return { node, paint, setSorts };
}
