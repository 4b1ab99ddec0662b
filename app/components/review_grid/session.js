// The grid's session: loads the images, turns pages, and turns presses into marks.

import { count } from "../common/dom.js";
import { fetchJson, messageOf, statusOf } from "../common/http.js";
import { classKeys, keyCap } from "../common/keys.js";
import { outboxFor } from "../common/outbox.js";
import { readQueueRef, staysAfterAnswer } from "../common/queue_ref.js";
import { createGridBatches } from "./batches.js";
import { createGridTable, GRID_ALL, GRID_MARKED, ROW_FLYING } from "./table.js";

/** @import { Notice } from "../common/notices.js" */
/** @import { GridTable } from "../common/wire.d.ts" */
/** @import { GridQuery, GridState, MarkedAnswer, Outcome } from "./types.d.ts" */

/**
 * Marks of the grid that was here before: they outlive a look at another page.
 * @type {Map<string, { key: string, marks: Map<number, MarkedAnswer | null> }>}
 */
const marksLeft = new Map();

/**
 * @typedef {ReturnType<typeof createGridSession>} GridSession
 * @typedef {ReturnType<GridSession["look"]>} GridLook
 */

/**
 * @param {string} base
 * @param {() => void} paint
 * @param {() => void} onSaved
 */
export function createGridSession(base, paint, onSaved) {
  const table = createGridTable();
  /** @type {GridState} */
  const state = {
    query: { round: null, only: "unreviewed", sort: "" }, classes: [], focus: -1, ring: false, everything: false,
    asked: null, outcome: null, notices: [], turn: 0, turnedAt: 0,
  };
  const outbox = outboxFor(base);
  const batches = createGridBatches(base, table, state, { paint, say, turned, load, saved: onSaved });
  let anchor = -1; // place that a range starts from
  let problem = "";
  let loading = 0;
  let latest = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;

  const start = () => table.page * table.pageSize;
  /** @param {GridQuery} query */
  const marksKey = ({ round, only }) => `${round}|${only}`;

  async function load() {
    latest += 1;
    const mine = latest;
    loading = mine;
    clearTimeout(again);
    const asks = new URLSearchParams({ only: state.query.only, sort: state.query.sort });
    if (state.query.round !== null) asks.set("round", String(state.query.round));
    paint();
    try {
      const answer = /** @type {GridTable} */ (await fetchJson(`${base}/grid?${asks}`, { timeout: 60000 }));
      if (mine !== latest) return;
      problem = "";
      const waiting = [...batches.pendingImages(), ...outbox.pendingImages()];
      table.load(answer, { leaves: !staysAfterAnswer(readQueueRef(state.query.only)), waiting });
      turned();
    } catch (error) {
      if (mine !== latest) return;
      problem = messageOf(error);
      if (!statusOf(error) || statusOf(error) >= 500) again = setTimeout(load, 4000);
    }
    loading = 0;
    paint();
  }

  function turned(byItself = false) {
    state.turn += 1;
    state.focus = Math.min(start(), table.list.length - 1);
    state.turnedAt = byItself ? performance.now() : 0;
    anchor = -1;
  }

  /**
   * Shows other images of the same table.
   * @param {() => void} change says which
   */
  function turnTo(change) {
    change();
    table.arrange();
    turned();
    paint();
  }

  /** @param {number} filter */
  function setFilter(filter) {
    state.everything = false;
    turnTo(() => Object.assign(table, { filter, page: 0 }));
  }

  /** @param {number} page */
  function go(page) {
    const to = Math.max(0, Math.min(table.pages() - 1, page));
    if (to !== table.page) turnTo(() => (table.page = to));
  }

  /** @param {number} size */
  function setPageSize(size) {
    const at = start();
    turnTo(() => Object.assign(table, { pageSize: size, page: Math.floor(at / size) }));
  }

  /**
   * @param {Outcome["kind"]} kind
   * @param {string} text
   */
  function say(kind, text) {
    state.outcome = text ? { kind, text } : null;
    paint();
  }

  /**
   * Marks the image at a place of the list as wrong, or no longer; with `range` all from the one touched before.
   * @param {number} at
   * @param {boolean} range
   */
  function toggle(at, range = false) {
    if (at < 0 || at >= table.list.length || state.asked) return;
    const idAt = (/** @type {number} */ place) => table.ids[table.list[place]];
    const from = range && anchor >= 0 ? anchor : at;
    const on = from === at ? !table.marks.has(idAt(at)) : table.marks.has(idAt(from));
    for (let place = Math.min(from, at); place <= Math.max(from, at); place += 1) {
      if (table.is(table.list[place], ROW_FLYING)) continue;
      if (!on) table.marks.delete(idAt(place));
      else if (!table.marks.has(idAt(place))) table.marks.set(idAt(place), null);
    }
    if (from === at) anchor = at;
    state.focus = at;
    say("good", "");
  }

  /**
   * Gives the marked images of the page that have no answer yet this one; without any, the image with the ring.
   * @param {"correct" | "reject"} action
   * @param {string | null} label
   */
  function answer(action, label) {
    if (state.asked) return;
    let rows = table.marked(table.pageRows()).open;
    const { focus } = state;
    if (!rows.length && state.ring && focus >= 0 && !table.is(table.list[focus], ROW_FLYING)) rows = [table.list[focus]];
    if (!rows.length) {
      say("warn", "Mark the wrong images first: click them, or press Space.");
      return;
    }
    /** @type {(row: number) => boolean} */
    const agrees = (row) => action !== "reject" && table.label[row] === null && table.className(row) === label;
    let same = 0;
    for (const row of rows) {
      if (agrees(row)) {
        same += Number(table.marks.delete(table.ids[row]));
        continue;
      }
      const known = table.predicted[row] >= 0 || table.label[row] !== null;
      const kind = action === "reject" ? "reject" : known ? "correct" : "label";
      table.marks.set(table.ids[row], { action: kind, label });
    }
    say("warn", same ? `${count(same)} predicted as “${label}” already: no longer marked.` : "");
  }

  /** @param {number} index */
  function answerKey(index) {
    const name = classKeys(state.classes)[index];
    if (name === null) say("warn", `No class has the key ${keyCap(index)}.`);
    else answer("correct", name);
  }

  // Returns whether there was something to close or to clear.
  function escape() {
    if (state.asked) state.asked = null;
    else if (state.everything) state.everything = false;
    else if (table.marks.size) table.marks.clear();
    else return false;
    if (table.filter === GRID_MARKED) setFilter(GRID_ALL);
    say("good", "");
    return true;
  }

  return {
    table, load, setFilter, go, setPageSize, toggle, answer, answerKey, escape, say,
    plan: batches.plan, accept: batches.accept, saveMarked: batches.saveMarked, confirm: batches.confirm, undo: batches.undo,
    /** @param {GridQuery} query */
    open(query) {
      const left = marksLeft.get(base);
      table.marks = new Map(left?.key === marksKey(query) ? left.marks : []);
      Object.assign(state, { query, everything: false, asked: null, outcome: null });
      load();
    },
    /** @param {string} sort */
    sortBy(sort) {
      Object.assign(state, { query: { ...state.query, sort }, everything: false });
      load();
    },
    /** @param {string[]} names */
    setClasses(names) {
      state.classes = [...names];
    },
    selectAll() {
      state.everything = table.list.length > 0;
      say("good", "");
    },
    /** @param {number} at */
    focusAt(at) {
      state.ring = true;
      state.focus = Math.max(start(), Math.min(at, start() + table.pageRows().length - 1));
      paint();
    },
    /** @param {Notice} notice */
    dismiss(notice) {
      state.notices = state.notices.filter((other) => other !== notice);
      paint();
    },
    look: () => ({
      ...state, table, problem, start: start(), loading: loading > 0, saving: batches.status(), canUndo: batches.canUndo(),
    }),
    stop() {
      marksLeft.set(base, { key: marksKey(state.query), marks: table.marks });
      clearTimeout(again);
      batches.stop();
    },
  };
}
