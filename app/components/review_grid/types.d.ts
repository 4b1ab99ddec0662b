// What the parts of the grid share. A row is a place in the server's order; a place is one in the list shown now.

import type { Notice } from "../common/notices.js";
import type { Action, GridTable, LabelState, Scale } from "../common/wire.d.ts";

/** The answer given to a marked image. */
export interface MarkedAnswer {
  action: Action;
  label: string | null;
}

/** The images as columns of `n` entries, and what of them is shown. */
export interface TableData {
  n: number;
  round: number | null;
  sort: string;
  classes: string[];
  ids: number[];
  predicted: number[];
  confidence: (number | null)[];
  scale: Scale | null;
  step: number[];
  value: (number | null)[];
  version: number[];
  /** Text of the label in force, null without one. */
  label: (string | null)[];
  /** Bits of ROW_…. */
  flags: Uint8Array;
  /** Of like images, -1 for none; null where images lie together by their predicted class. */
  group: number[] | null;
  rowOf: Map<number, number>;
  /** What was marked, by id; null until an answer is given. */
  marks: Map<number, MarkedAnswer | null>;
  list: Int32Array;
  counts: number[];
  left: number;
  /** A class, or GRID_ALL or GRID_MARKED. */
  filter: number;
  /** Images on a page, at least: like ones are not divided. */
  pageSize: number;
  page: number;
  /** The place that each page begins at. */
  starts: number[];
  /** Whether answered images leave the list; else they stay, greyed. */
  leaves: boolean;
  loaded: boolean;
  /** Grows whenever the list is another one. */
  stamp: number;
}

export interface Table extends TableData {
  className(row: number): string;
  is(row: number, flag: number): boolean;
  load(answer: GridTable, how: { leaves: boolean; waiting: Iterable<number> }): void;
  arrange(): void;
  rearrange(putOff?: number[]): void;
  pages(): number;
  /** The page that a place lies on. */
  pageOf(place: number): number;
  /** From and to where the images lie under one heading with that at a place. */
  runOf(place: number): [number, number];
  pageRows(): Int32Array;
  acceptable(rows: Int32Array): Int32Array;
  marked(rows: Int32Array): { answered: number[]; open: number[] };
  flag(rows: Iterable<number>, bits: number, on?: boolean): void;
  /** Rows of the images of these ids; those that are not in the grid are left out. */
  rowsOf(ids: Iterable<number>): number[];
  learn(state: LabelState | null, bits?: number): number | undefined;
}

export interface GridQuery {
  round: number | null;
  only: string;
  sort: string;
}

/** What an acceptance would record: rows taken as predicted, rows with an answer, rows marked without one. */
export interface Plan {
  take: number[];
  answered: number[];
  open: number[];
  /** Rows whose answer is on its way. */
  flying: number;
  /** Rows taken that were never on the screen. */
  unseen: number;
  everything: boolean;
  total: number;
}

export interface Outcome {
  kind: "good" | "warn";
  text: string;
}

/** What the session knows besides the table. */
export interface GridState {
  query: GridQuery;
  classes: string[];
  /** Place in the list. */
  focus: number;
  /** The focus ring shows after a key. */
  ring: boolean;
  /** All matching images, not only the page. */
  everything: boolean;
  /** A plan that waits for a yes. */
  asked: Plan | null;
  outcome: Outcome | null;
  notices: Notice[];
  /** Grows whenever other images come in front. */
  turn: number;
  turnedAt: number;
}
