// The page of images: fixed tile sizes, only the rows on the screen in the document.

import { count, el, setText, show } from "../common/dom.js";
import { spreadWords } from "../common/words.js";
import { GRID_SIZES } from "./choices.js";
import { GRID_ALL, gridValueWords, NO_GROUP, ROW_FLYING } from "./table.js";
import { createGridThumbs } from "./thumbs.js";

/** @import { GridLook, GridSession } from "./session.js" */
/** @import { Table } from "./types.d.ts" */

const GRID_TILE_EXTRA = 32; // px below and around a picture
const GRID_BARE_EXTRA = 14; // the same where nothing is predicted
const GRID_GAP = 8;
const GRID_HEAD = 34; // px of a class's heading
const GRID_MORE_ROWS = 2; // rows kept above and below the screen
const GRID_AHEAD = 60; // pictures of the next page fetched in advance

/**
 * A line of the page: a heading, with the first row below it, or a row of tiles; both from one place to another.
 * @typedef {{ top: number, height: number, head?: number, from: number, to: number }} Line
 * @typedef {{ node: HTMLElement, tiles: ReturnType<typeof buildTile>[], line: Line, paintHead?: () => void }} Row
 */

/**
 * @param {string} base
 * @param {GridSession} session
 * @param {ReturnType<typeof import("./lens.js").buildGridLens>} lens
 */
export function buildGridWall(base, session, lens) {
  const thumbs = createGridThumbs(base, session.screen.watch);
  const space = el("div", { class: "wall-space", role: "rowgroup" });
  const node = el("div", {
    class: "wall", testid: "grid-wall", role: "grid", tabindex: "0", "aria-multiselectable": "true",
    onscroll: requestPlace, onclick: onClick, ondblclick: (event) => at(event) >= 0 && lens.open(at(event)),
    onmousemove: onMove, onmouseleave: () => lens.hover(-1, null),
  }, space);
  /** @type {Map<number, Row>} those in the document, by number of their line */
  const rows = new Map();
  const watcher = new ResizeObserver(() => layOut(true));
  /** @type {Line[]} */
  let lines = [];
  let side = GRID_SIZES[1][1];
  let columns = 1;
  let laid = "";
  let turn = -1;
  let soon = 0;
  let look = session.look();
  let pointer = ""; // where it was last

  /** @param {Event} event */
  function tileOf(event) {
    const tile = event.target instanceof Element ? event.target.closest(".tile") : null;
    return tile instanceof HTMLElement ? tile : null;
  }

  /** @param {Event} event */
  function at(event) {
    return Number(tileOf(event)?.dataset.at ?? -1);
  }

  /**
   * Only a hand moves the pointer; tiles that come under a resting one open no card.
   * @param {MouseEvent} event
   */
  function onMove(event) {
    const where = `${event.screenX}|${event.screenY}`;
    if (where === pointer) return;
    pointer = where;
    lens.hover(at(event), tileOf(event));
  }

  /** @param {MouseEvent} event */
  function onClick(event) {
    const place = at(event);
    if (place < 0) return;
    node.focus({ preventScroll: true });
    lens.hover(-1, null);
    session.toggle(place, event.shiftKey);
  }

  // The page as lines: a heading where a class begins, then full rows of tiles.
  function layOut(force = false) {
    const { table, start } = look;
    const page = table.pageRows();
    const width = Math.max(120, space.clientWidth);
    const key = [width, side, table.stamp, start, extra()].join();
    if (!force && key === laid) return;
    laid = key;
    columns = Math.max(1, Math.floor((width + GRID_GAP) / (side + GRID_GAP + 10)));
    space.style.setProperty("--columns", String(columns));
    space.style.setProperty("--side", `${side}px`);
    const height = side + extra();
    lines = [];
    let top = 0;
    for (let from = 0; from < page.length;) {
      const group = groupOf(table, page, from);
      if (table.filter < 0 || table.group) {
        lines.push({ top, height: GRID_HEAD, head: page[from], from: start + from, to: start + group });
        top += GRID_HEAD;
      }
      for (let row = from; row < group; row += columns) {
        lines.push({ top, height, from: start + row, to: start + Math.min(group, row + columns) });
        top += height + GRID_GAP;
      }
      from = group;
    }
    space.style.height = `${top}px`;
    for (const [, row] of rows) discard(row);
    rows.clear();
    place();
  }

  const extra = () => (look.table.round === null ? GRID_BARE_EXTRA : GRID_TILE_EXTRA);

  /**
   * Where what lies under one heading ends that begins at `from`, both counted on the page.
   * @param {Table} table
   * @param {Int32Array} page
   * @param {number} from
   */
  function groupOf(table, page, from) {
    if (table.filter >= 0 && !table.group) return page.length;
    return table.runOf(look.start + from)[1] - look.start;
  }

  function requestPlace() {
    soon ||= requestAnimationFrame(() => {
      soon = 0;
      place();
    });
  }

  function place() {
    const height = side + extra() + GRID_GAP;
    const above = node.scrollTop - GRID_MORE_ROWS * height;
    const below = node.scrollTop + node.clientHeight + GRID_MORE_ROWS * height;
    /** @type {Set<number>} */
    const wanted = new Set();
    lines.forEach((line, number) => {
      if (line.top + line.height >= above && line.top <= below) wanted.add(number);
    });
    for (const [number, row] of rows) {
      if (wanted.has(number)) continue;
      discard(row);
      rows.delete(number);
    }
    for (const number of wanted) if (!rows.has(number)) rows.set(number, buildRow(lines[number]));
    paintTiles();
    thumbs.lookAhead(nextIds());
  }

  function nextIds() {
    const { table } = look;
    const from = look.start + table.pageRows().length;
    return Array.from(table.list.subarray(from, from + GRID_AHEAD), (row) => table.ids[row]);
  }

  /** @param {Line} line */
  function buildRow(line) {
    const { table } = look;
    const row = el("div", { class: "wall-row", role: "row", style: `transform: translateY(${line.top}px)` });
    const tiles = [];
    if (line.head !== undefined && table.group) {
      const paintHead = fillGroupHead(row, line);
      space.append(row);
      return { node: row, tiles: [], line, paintHead };
    } else if (line.head !== undefined) {
      const k = table.predicted[line.head];
      row.classList.add("wall-head");
      row.append(el("strong", {}, table.className(line.head)),
        el("span", { class: "faint" }, k >= 0 && table.filter === GRID_ALL ? `${count(table.counts[k])} predicted` : ""));
    } else {
      for (let to = line.from; to < line.to; to += 1) tiles.push(buildTile(table, to));
      row.append(...tiles.map((tile) => tile.node));
    }
    space.append(row);
    for (const tile of tiles) thumbs.want(tile.image, table.ids[tile.row]);
    return { node: row, tiles, line };
  }

  /**
   * Names a group of like images, with a button that marks them. Returns what brings the button up to date.
   * @param {HTMLElement} row
   * @param {Line} line
   */
  function fillGroupHead(row, { from, to }) {
    const { table } = look;
    const rows = Array.from(table.list.subarray(from, to));
    const alike = table.group?.[rows[0]] !== NO_GROUP;
    const words = !alike ? `${count(rows.length)} without features yet` : rows.length > 1 ? `${count(rows.length)} alike` : "1 by itself";
    const mark = el("button", {
      type: "button", class: "quiet", testid: "grid-mark-alike", onclick: () => session.markAlike(from),
    });
    row.classList.add("wall-head");
    row.append(el("strong", { testid: "grid-alike" }, words),
      el("span", { class: "faint" }, table.round === null ? "" : spreadWords(rows.map(table.className), 2)), mark);
    show(mark, alike);
    const wordsOf = el("span");
    const key = el("kbd", {}, "c");
    mark.append(wordsOf, key);
    return () => {
      setText(wordsOf, rows.every((one) => table.marks.has(table.ids[one])) ? "Unmark" : "Mark all");
      show(key, look.ring && look.focus >= from && look.focus < to);
    };
  }

  /** @param {Row} row */
  function discard(row) {
    for (const tile of row.tiles) {
      thumbs.drop(tile.image);
      session.screen.unwatch(tile.image);
    }
    row.node.remove();
  }

  function paintTiles() {
    for (const { tiles, paintHead } of rows.values()) {
      for (const tile of tiles) tile.paint(look);
      paintHead?.();
    }
    const active = look.ring && look.focus >= 0 ? `tile-${look.focus}` : null;
    if (active) node.setAttribute("aria-activedescendant", active);
    else node.removeAttribute("aria-activedescendant");
  }

  /** @param {GridLook} next */
  function paint(next) {
    look = next;
    layOut();
    if (turn !== look.turn) {
      turn = look.turn;
      node.scrollTop = 0;
      lens.hover(-1, null);
      place();
    }
    node.dataset.all = look.everything ? "yes" : "no";
    node.dataset.bare = look.table.round === null ? "yes" : "no";
    node.setAttribute("aria-label", look.table.group
      ? "Like images lie together. Click or Space marks an image, c all alike, arrow keys move, Enter shows it large."
      : "Predictions. Click or Space marks an image as wrong, arrow keys move, Enter shows it large.");
    paintTiles();
  }

  /**
   * The place that an arrow key reaches from the focus.
   * @param {string} key
   */
  function step(key) {
    const number = lines.findIndex((line) => line.head === undefined && look.focus >= line.from && look.focus < line.to);
    if (number < 0) return look.start;
    const column = look.focus - lines[number].from;
    if (key === "ArrowLeft") return look.focus - 1;
    if (key === "ArrowRight") return look.focus + 1;
    if (key === "Home") return look.start;
    if (key === "End") return look.start + look.table.pageRows().length - 1;
    const up = key === "ArrowUp";
    const others = lines.filter((line, i) => line.head === undefined && (up ? i < number : i > number));
    const line = up ? others.at(-1) : others[0];
    return line ? Math.min(line.from + column, line.to - 1) : look.focus;
  }

  function reveal() {
    const line = lines.find((one) => one.head === undefined && look.focus >= one.from && look.focus < one.to);
    if (!line) return;
    const under = line.top + line.height + 6 - node.clientHeight;
    if (line.top - GRID_HEAD < node.scrollTop) node.scrollTop = Math.max(0, line.top - GRID_HEAD);
    else if (under > node.scrollTop) node.scrollTop = under;
    place();
  }

  // Shows the group of the image in front from its heading on, unless all of it is shown already.
  function revealGroup() {
    const head = lines.find((one) => one.head !== undefined && look.focus >= one.from && look.focus < one.to);
    const last = lines.findLast((one) => one.head === undefined && head && one.from >= head.from && one.to <= head.to);
    if (!head || !last) return;
    if (head.top < node.scrollTop || last.top + last.height > node.scrollTop + node.clientHeight) node.scrollTop = head.top;
    place();
  }

  watcher.observe(node);
  return {
    node, paint, step, reveal, revealGroup,
    focus: () => node.focus({ preventScroll: true }),
    /** @param {number} index place in GRID_SIZES */
    resize(index) {
      side = GRID_SIZES[index][1];
      layOut(true);
    },
    stop() {
      watcher.disconnect();
      cancelAnimationFrame(soon);
      thumbs.stop();
    },
  };
}

/**
 * @param {Table} table
 * @param {number} at place in the list
 */
function buildTile(table, at) {
  const row = table.list[at];
  const image = el("img", { alt: "", draggable: "false" });
  const name = el("span", { class: "tile-name" }, table.className(row));
  const predicted = table.predicted[row] >= 0;
  const value = el("span", { class: "tile-value" }, predicted ? gridValueWords(table, row) : "");
  const badge = el("span", { class: "badge" });
  const node = el("div", {
    class: "tile", role: "gridcell", testid: "grid-tile", id: `tile-${at}`, "data-at": at, "data-id": table.ids[row],
    "data-predicted": table.className(row),
  }, el("span", { class: "tile-picture" }, image), badge, el("span", { class: "tile-line" }, name, value));
  let painted = "";

  /** @param {GridLook} look */
  function paint({ ring, focus, everything }) {
    const marked = table.marks.has(table.ids[row]);
    const given = table.marks.get(table.ids[row]);
    const flying = table.is(row, ROW_FLYING);
    const state = flying ? "flying" : marked ? "marked" : table.label[row] !== null ? "labeled" : "open";
    const sign = table.group ? "✓" : "✗";
    const words = !marked ? table.label[row] ?? "" : !given ? sign : `${sign} ${given.label === null ? "reject" : `→ ${given.label}`}`;
    const key = [state, words, ring && focus === at, everything].join("|");
    if (key === painted) return;
    painted = key;
    node.dataset.state = state;
    node.dataset.focus = ring && focus === at ? "yes" : "no";
    node.setAttribute("aria-selected", String(marked));
    const spoken = [name.textContent, value.textContent, marked && (table.group ? "marked" : "marked wrong"), words];
    node.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
    setText(badge, words);
    show(badge, words !== "");
  }
  return { node, image, row, paint };
}
