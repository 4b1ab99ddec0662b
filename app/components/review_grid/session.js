// The grid's session: loads the images, turns pages, and turns presses into marks.

import { count } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { classKeys, keyCap } from "../common/keys.js";
import { outboxFor } from "../common/outbox.js";
import { createGridBatches } from "./batches.js";
import { createGridTable, GRID_ALL, GRID_MARKED, ROW_FLYING } from "./table.js";

const GRID_STAYING = ["all", "selection", "labeled"]; // what is shown here stays after an answer

export function createGridSession(base, paint, onSaved) {
  const table = createGridTable();
  const state = {
    query: { round: null, only: "unreviewed", sort: "" },
    classes: [],
    focus: -1, // place in the list
    ring: false, // the focus ring shows after a key
    everything: false, // all matching images, not only the page
    asked: null, // a plan that waits for a yes
    outcome: null, // {kind, text}
    notices: [],
    turn: 0, // grows whenever other images come in front
    turnedAt: 0,
  };
  const outbox = outboxFor(base);
  const batches = createGridBatches(base, table, state, { paint, say, turned, load, saved: onSaved });
  let anchor = -1; // place that a range starts from
  let problem = "";
  let loading = 0;
  let latest = 0;
  let again = 0;

  const start = () => table.page * table.pageSize;
  const marksKey = ({ round, only }) => `${round}|${only}`;

  async function load() {
    latest += 1;
    const mine = latest;
    loading = mine;
    clearTimeout(again);
    const asks = new URLSearchParams({ only: state.query.only, sort: state.query.sort });
    if (state.query.round !== null) asks.set("round", state.query.round);
    paint();
    try {
      const answer = await fetchJson(`${base}/grid?${asks}`, { timeout: 60000 });
      if (mine !== latest) return;
      problem = "";
      const waiting = [...batches.pendingImages(), ...outbox.pendingImages()];
      table.load(answer, { leaves: !GRID_STAYING.includes(state.query.only), waiting });
      turned();
    } catch (error) {
      if (mine !== latest) return;
      problem = error.message;
      if (!error.status || error.status >= 500) again = setTimeout(load, 4000);
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

  // Shows other images of the same table: change() says which.
  function turnTo(change) {
    change();
    table.arrange();
    turned();
    paint();
  }

  function setFilter(filter) {
    state.everything = false;
    turnTo(() => Object.assign(table, { filter, page: 0 }));
  }

  function go(page) {
    const to = Math.max(0, Math.min(table.pages() - 1, page));
    if (to !== table.page) turnTo(() => (table.page = to));
  }

  function setPageSize(size) {
    const at = start();
    turnTo(() => Object.assign(table, { pageSize: size, page: Math.floor(at / size) }));
  }

  function say(kind, text) {
    state.outcome = text ? { kind, text } : null;
    paint();
  }

  // Marks the image at a place of the list as wrong, or no longer; with `range` all from the one touched before.
  function toggle(at, range = false) {
    if (at < 0 || at >= table.list.length || state.asked) return;
    const idAt = (place) => table.ids[table.list[place]];
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

  // Gives the marked images of the page that have no answer yet this one; without any, the image with the ring.
  function answer(action, label) {
    if (state.asked) return;
    let rows = table.marked(table.pageRows()).open;
    const { focus } = state;
    if (!rows.length && state.ring && focus >= 0 && !table.is(table.list[focus], ROW_FLYING)) rows = [table.list[focus]];
    if (!rows.length) {
      say("warn", "Mark the wrong images first: click them, or press Space.");
      return;
    }
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
    open(query) {
      const kept = gridMarksKept().get(base); // by the grid that was here before
      table.marks = new Map(kept?.key === marksKey(query) ? kept.marks : []);
      Object.assign(state, { query, everything: false, asked: null, outcome: null });
      load();
    },
    sortBy(sort) {
      Object.assign(state, { query: { ...state.query, sort }, everything: false });
      load();
    },
    setClasses: (names) => (state.classes = [...names]),
    selectAll() {
      state.everything = table.list.length > 0;
      say("good", "");
    },
    focusAt(at) {
      state.ring = true;
      state.focus = Math.max(start(), Math.min(at, start() + table.pageRows().length - 1));
      paint();
    },
    dismiss(notice) {
      state.notices = state.notices.filter((other) => other !== notice);
      paint();
    },
    look: () => ({
      ...state, table, problem, start: start(), loading: loading > 0, saving: batches.status(), canUndo: batches.canUndo(),
    }),
    stop() {
      gridMarksKept().set(base, { key: marksKey(state.query), marks: table.marks });
      clearTimeout(again);
      batches.stop();
    },
  };
}

// Marks outlive a look at another page: base -> {key, marks}.
function gridMarksKept() {
  return (globalThis.__starlingGridMarks ||= new Map());
}
