// The images of the grid as flat arrays, what of them is shown, and what the person marked.
// A row is a place in the server's order; a place is one in the list shown now (one class, or all).

import { count } from "../common/dom.js";
import { sureWords } from "../common/words.js";

/** @import { GridTable, LabelState } from "../common/wire.d.ts" */
/** @import { Table, TableData } from "./types.d.ts" */

export const GRID_ALL = -1;
export const GRID_MARKED = -2;
export const GRID_LIKENESS = "likeness"; // the order in which like images lie together
export const NO_GROUP = -1; // of an image without features
export const ROW_FLYING = 1; // its answer is on its way
export const ROW_DONE = 2; // its answer is in the ledger
export const ROW_LATER = 4; // passed over without an answer: comes last

/** @returns {Table} */
export function createGridTable() {
  /** @type {TableData} */
  const table = {
    n: 0, round: null, sort: "", classes: [], ids: [], predicted: [], confidence: [], scale: null, step: [], value: [], version: [], label: [],
    group: null, flags: new Uint8Array(0), rowOf: new Map(), marks: new Map(), list: new Int32Array(0), counts: [], left: 0,
    filter: GRID_ALL, pageSize: 200, page: 0, starts: [0], leaves: true, loaded: false,
    stamp: 0,
  };

  /**
   * @param {number} row
   * @param {number} flag
   */
  const is = (row, flag) => (table.flags[row] & flag) !== 0;
  /** @param {number} row */
  const gone = (row) => table.leaves && is(row, ROW_DONE);

  /**
   * @param {GridTable} answer
   * @param {{ leaves: boolean, waiting: Iterable<number> }} how
   */
  function load(answer, { leaves, waiting }) {
    Object.assign(table, {
      n: answer.ids.length, round: answer.round, sort: answer.sort, classes: answer.classes, ids: answer.ids,
      predicted: answer.predicted, confidence: answer.confidence, scale: answer.scale, step: answer.step, value: answer.value,
      version: answer.version, group: answer.group, leaves,
      // -1: no label; anything else below 0: a class that the round does not know
      label: answer.label.map((k) => (k >= 0 ? answer.classes[k] : k === -1 ? null : "another class")), loaded: true,
    });
    table.flags = new Uint8Array(table.n);
    table.rowOf = new Map(table.ids.map((id, row) => [id, row]));
    flag(rowsOf(waiting), ROW_FLYING);
    for (const id of [...table.marks.keys()]) if (!table.rowOf.has(id)) table.marks.delete(id);
    table.page = 0;
    if (table.filter >= table.classes.length) table.filter = GRID_ALL;
    arrange();
  }

  /** @param {Iterable<number>} ids */
  const rowsOf = (ids) => Array.from(ids, (id) => table.rowOf.get(id)).filter((row) => row !== undefined);

  /** @param {number} row */
  function matches(row) {
    if (table.filter === GRID_ALL) return true;
    return table.filter === GRID_MARKED ? table.marks.has(table.ids[row]) : table.predicted[row] === table.filter;
  }

  // Makes the list anew: those passed over come last. Counts all classes on the way.
  function arrange() {
    /** @type {number[]} */
    const first = [];
    /** @type {number[]} */
    const last = [];
    if (table.filter === GRID_MARKED && !table.marks.size) table.filter = GRID_ALL;
    table.stamp += 1;
    table.counts = new Array(table.classes.length).fill(0);
    table.left = 0;
    for (let row = 0; row < table.n; row += 1) {
      if (gone(row)) continue;
      table.left += 1;
      if (table.predicted[row] >= 0) table.counts[table.predicted[row]] += 1;
      if (matches(row)) (is(row, ROW_LATER) ? last : first).push(row);
    }
    table.list = Int32Array.from(first.concat(last));
    table.starts = pageStarts();
    table.page = Math.max(0, Math.min(table.page, pages() - 1));
  }

  /** @param {number} row */
  const className = (row) => (table.predicted[row] >= 0 ? table.classes[table.predicted[row]] : "no prediction");
  const pages = () => table.starts.length;
  const pageRows = () => table.list.subarray(table.starts[table.page], table.starts[table.page + 1]);
  /** @param {number} place */
  const pageOf = (place) => Math.max(0, table.starts.findLastIndex((start) => start <= place));

  function pageStarts() {
    const starts = [0];
    for (let start = table.pageSize; start < table.list.length; start += table.pageSize) {
      if (table.group && table.group[table.list[start]] !== NO_GROUP) {
        while (start < table.list.length && together(start - 1, start)) start += 1;
      }
      if (start < table.list.length) starts.push(start);
    }
    return starts;
  }

  /**
   * @param {number} place
   * @param {number} other
   */
  function together(place, other) {
    const of = table.group ?? table.predicted;
    return of[table.list[place]] === of[table.list[other]];
  }

  /**
   * @param {number} place
   * @returns {[number, number]}
   */
  function runOf(place) {
    const [first, last] = [table.starts[table.page], table.starts[table.page + 1] ?? table.list.length];
    let [from, to] = [place, place + 1];
    while (from > first && together(from - 1, place)) from -= 1;
    while (to < last && together(place, to)) to += 1;
    return [from, to];
  }

  /**
   * Rows that can be accepted as predicted: no mark, no label yet, no answer on its way.
   * @param {Int32Array} rows
   */
  function acceptable(rows) {
    return rows.filter((row) => table.predicted[row] >= 0 && table.label[row] === null
      && !is(row, ROW_FLYING | ROW_DONE) && !table.marks.has(table.ids[row]));
  }

  /**
   * Marked rows of these: with an answer, and without one.
   * @param {Int32Array} rows
   */
  function marked(rows) {
    /** @type {{ answered: number[], open: number[] }} */
    const split = { answered: [], open: [] };
    if (!table.marks.size) return split;
    for (const row of rows) {
      if (!table.marks.has(table.ids[row]) || is(row, ROW_FLYING)) continue;
      (table.marks.get(table.ids[row]) ? split.answered : split.open).push(row);
    }
    return split;
  }

  /**
   * @param {Iterable<number>} rows
   * @param {number} bits
   * @param {boolean} on
   */
  function flag(rows, bits, on = true) {
    for (const row of rows) table.flags[row] = on ? table.flags[row] | bits : table.flags[row] & ~bits;
  }

  /**
   * Takes a label state of the server over. Returns the row, or undefined when the image is not in the grid.
   * @param {LabelState | null} state
   * @param {number} bits
   */
  function learn(state, bits = 0) {
    const row = state ? table.rowOf.get(state.image_id) : undefined;
    if (!state || row === undefined) return undefined;
    table.version[row] = state.version;
    table.label[row] = state.label;
    table.flags[row] = (table.flags[row] & ~(ROW_FLYING | ROW_DONE)) | bits;
    return row;
  }

  /**
   * Rearranges and keeps what is in front in front, although rows before it have left or have just been put off.
   * @param {number[]} putOff
   */
  function rearrange(putOff = []) {
    const off = new Set(putOff);
    const start = table.starts[table.page];
    let before = 0;
    for (let at = 0; at < Math.min(start, table.list.length); at += 1) {
      if (gone(table.list[at]) || off.has(table.list[at])) before += 1;
    }
    arrange();
    table.page = pageOf(start - before);
  }

  return Object.assign(table, { className, is, load, arrange, rearrange, pages, pageOf, pageRows, runOf, acceptable, marked, flag, learn, rowsOf });
}

/**
 * What a tile says of its prediction: the value that the images are sorted by where that was counted or compared, else
 * how sure it is.
 * @param {Table} table
 * @param {number} row
 */
export function gridValueWords(table, row) {
  const value = table.value[row];
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (table.sort.startsWith("flips")) return value < 0 ? "–" : count(value);
  if (table.sort.startsWith("disagreement")) return value < 0 ? "–" : value.toFixed(3);
  return gridSureWords(table, row);
}

/**
 * @param {Table} table
 * @param {number} row
 */
export function gridSureWords(table, row) {
  return sureWords(table.scale, table.step[row]);
}

/** @param {number} n */
export function gridOpenWords(n) {
  return `${count(n)} marked without an answer ${n === 1 ? "stays" : "stay"} undecided.`;
}
