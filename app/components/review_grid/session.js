// The grid's session: loads the images, turns pages, and turns presses into marks.

import { count } from "../common/dom.js";
import { fetchJson, messageOf, postJson, statusOf } from "../common/http.js";
import { classKeys, keyCap } from "../common/keys.js";
import { createOnScreen } from "../common/on_screen.js";
import { outboxFor } from "../common/outbox.js";
import { readQueueRef, staysAfterAnswer } from "../common/queue_ref.js";
import { createGridBatches } from "./batches.js";
import { createGridTable, GRID_ALL, GRID_LIKENESS, GRID_MARKED, NO_GROUP, ROW_DONE, ROW_FLYING } from "./table.js";

/** @import { Notice } from "../common/notices.js" */
/** @import { ClassesAnswer, GridTable } from "../common/wire.d.ts" */
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
  let onShown = () => {};
  const screen = createOnScreen(() => onShown());
  const batches = createGridBatches(base, table, state, screen, { paint, say, turned, load, saved: onSaved });
  let anchor = -1; // place that a range starts from
  let problem = "";
  let loading = 0;
  let latest = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;

  const start = () => table.starts[table.page];
  /** @param {GridQuery} query */
  const marksKey = ({ round, only, sort }) => `${round}|${only}|${sort === GRID_LIKENESS}`;

  /** @param {boolean} stay the image in front stays there */
  async function load(stay = false) {
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
      const front = table.ids[table.list[state.focus]];
      table.load(answer, { leaves: !staysAfterAnswer(readQueueRef(state.query.only)), waiting });
      screen.clear(); // what is predicted may be something else now
      if (!stay || !bringFront(front)) turned();
    } catch (error) {
      if (mine !== latest) return;
      problem = messageOf(error);
      if (!statusOf(error) || statusOf(error) >= 500) again = setTimeout(load, 4000);
    }
    loading = 0;
    paint();
  }

  /**
   * Puts the page of an image in front. Returns whether it is still shown.
   * @param {number} id
   */
  function bringFront(id) {
    const place = table.list.indexOf(table.rowOf.get(id) ?? -1);
    if (place < 0) return false;
    table.page = table.pageOf(place);
    state.focus = place;
    anchor = -1;
    return true;
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
    turnTo(() => {
      table.pageSize = size;
      table.arrange();
      table.page = table.pageOf(at);
    });
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
   * Marks the images without a label that are like the one at a place, or no longer when all of them are marked.
   * @param {number} at
   */
  function markAlike(at) {
    if (state.asked || at < 0 || at >= table.list.length) return;
    if (!table.group) {
      say("warn", "Choose the order “like ones together” first: c marks images that lie together.");
      return;
    }
    const [from, to] = beyondSaved(at);
    const free = table.list.subarray(from, to).filter((row) => table.label[row] === null && !table.is(row, ROW_FLYING | ROW_DONE));
    if (!free.length) {
      say("warn", table.is(table.list[from], ROW_FLYING) ? "These are being saved." : "All of these have a label.");
    } else if (table.group[free[0]] === NO_GROUP) {
      say("warn", "These have no features yet and may be unlike: mark them one by one.");
    } else {
      const on = free.some((row) => !table.marks.has(table.ids[row]));
      for (const row of free) {
        if (!on) table.marks.delete(table.ids[row]);
        else if (!table.marks.has(table.ids[row])) table.marks.set(table.ids[row], null);
      }
      Object.assign(state, { focus: from, ring: true });
      anchor = from;
      say("good", "");
    }
  }

  /**
   * The group at a place; while its answers are on their way, the next one that is not being saved.
   * @param {number} at
   */
  function beyondSaved(at) {
    const end = start() + table.pageRows().length;
    let run = table.runOf(at);
    while (run[1] < end && table.list.subarray(...run).every((row) => table.is(row, ROW_FLYING))) run = table.runOf(run[1]);
    return run;
  }

  /**
   * Goes to the first image of the next group, or of the one before.
   * @param {1 | -1} step
   */
  function stepGroup(step) {
    if (!table.list.length) return;
    const end = start() + table.pageRows().length;
    const [from, to] = table.runOf(state.focus);
    const before = state.focus > from ? from : from > start() ? table.runOf(from - 1)[0] : from;
    state.ring = true;
    if (step > 0 && to >= end && table.page < table.pages() - 1) go(table.page + 1);
    else state.focus = step < 0 ? before : to < end ? to : from;
    paint();
  }

  /**
   * Gives the marked images of the page that have no answer yet this one; without any, the image with the ring. Where like
   * ones lie together, it is what all that are marked are, and is recorded at once.
   * @param {"correct" | "reject"} action
   * @param {string | null} label
   */
  function answer(action, label) {
    if (state.asked) return;
    const { open, answered } = table.marked(table.pageRows());
    let rows = table.group ? [...open, ...answered] : open;
    const { focus } = state;
    if (!rows.length && state.ring && focus >= 0 && !table.is(table.list[focus], ROW_FLYING)) rows = [table.list[focus]];
    if (!rows.length) {
      say("warn", table.group ? "Mark images first: click them, or press c for all that are alike."
        : "Mark the wrong images first: click them, or press Space.");
      return;
    }
    /** @type {(row: number) => boolean} */
    const agrees = (row) => action !== "reject" && table.label[row] === null && table.className(row) === label;
    let same = 0;
    for (const row of rows) {
      if (!table.group && agrees(row)) {
        same += Number(table.marks.delete(table.ids[row]));
        continue;
      }
      const known = table.predicted[row] >= 0 || table.label[row] !== null;
      const kind = action === "reject" ? "reject" : agrees(row) ? "accept" : known ? "correct" : "label";
      table.marks.set(table.ids[row], { action: kind, label });
    }
    say("warn", same ? `${count(same)} predicted as “${label}” already: no longer marked.` : "");
    if (table.group) batches.saveMarked();
  }

  /** @param {number} index */
  function answerKey(index) {
    const name = classKeys(state.classes)[index];
    if (!state.classes.length) say("warn", "There is no class yet: add one below the images.");
    else if (name === null) say("warn", `No class has the key ${keyCap(index)}.`);
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

  /** @param {string[]} names */
  function setClasses(names) {
    state.classes = [...names];
  }

  return {
    table, screen, setFilter, go, setPageSize, toggle, markAlike, stepGroup, answer, answerKey, escape, say, setClasses,
    load: () => load(),
    /** @param {() => void} listener images have come on the screen that had not been on it */
    onShown(listener) {
      onShown = listener;
    },
    plan: batches.plan, accept: batches.accept, saveMarked: batches.saveMarked, confirm: batches.confirm, undo: batches.undo,
    /** @param {GridQuery} query */
    open(query) {
      const left = marksLeft.get(base);
      // who labels like ones together goes on where they are when a round brings its first predictions
      const stay = table.group !== null && query.only === state.query.only && query.sort === state.query.sort;
      if (!stay) table.marks = new Map(left?.key === marksKey(query) ? left.marks : []);
      Object.assign(state, { query, everything: false, asked: null, outcome: null });
      load(stay);
    },
    /** @param {string} sort */
    sortBy(sort) {
      // a mark says "one of these" where like ones lie together, and "wrong" in any other order
      if ((sort === GRID_LIKENESS) !== (state.query.sort === GRID_LIKENESS)) table.marks.clear();
      Object.assign(state, { query: { ...state.query, sort }, everything: false });
      load();
    },
    /** @param {string} name */
    async addClass(name) {
      const answer = /** @type {ClassesAnswer} */ (await postJson(`${base}/classes`, { name }));
      setClasses(answer.classes);
      paint();
      onSaved();
    },
    selectAll() {
      state.everything = table.list.length > 0 && table.round !== null;
      if (table.round === null) say("warn", "There are no predictions to accept yet.");
      else say("good", "");
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
      screen.stop();
    },
  };
}
