// Batches of answers: what one would record, sent as one, and what is shown when the ledger has answered.

import { isRecorded } from "../common/acks.js";
import { count, newUid } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { GRID_ACTIONS, gridAckImage, gridActionAt, gridJob, gridSenderFor } from "./sender.js";
import { gridOpenWords, ROW_DONE, ROW_FLYING, ROW_LATER } from "./table.js";

/** @import { OnScreen } from "../common/on_screen.js" */
/** @import { Ack, ReviewItem } from "../common/wire.d.ts" */
/** @import { Answer, Batch, Job, SenderEvent } from "./sender.js" */
/** @import { GridQuery, GridState, MarkedAnswer, Outcome, Plan, Table } from "./types.d.ts" */

const GRID_ASK_ABOVE = 2000; // larger batches are recorded after a question
const GRID_TURN_PAUSE = 400; // ms in which a page that came by itself is not accepted: the press was for the one before
/** @type {{ [action: string]: string }} */
const GRID_WORDS = { accept: "accepted", correct: "corrected", reject: "rejected", label: "labeled" };

/**
 * Where a batch was sent from. `passed`: it took what was in front, so that the next page comes; `marks` as they come back.
 * @typedef {{ page: number, filter: number, marks: [number, MarkedAnswer | null][], all: boolean, open: number[], ids: number[],
 *   passed: boolean, query: GridQuery }} Origin
 * @typedef {{ id: number, ack: Ack }} Left an image that was not recorded
 *
 * @typedef {object} Hooks
 * @property {() => void} paint
 * @property {(kind: Outcome["kind"], text: string) => void} say
 * @property {(byItself?: boolean) => void} turned
 * @property {() => void} load
 * @property {() => void} saved
 */

/**
 * @param {string} base
 * @param {Table} table
 * @param {GridState} state
 * @param {OnScreen} screen
 * @param {Hooks} hooks
 */
export function createGridBatches(base, table, state, screen, hooks) {
  const sender = gridSenderFor(base);
  /** @type {Map<string, Origin>} by batch */
  const journal = new Map();
  const stop = sender.subscribe(onSender);
  const { paint, say, turned, load, saved: onSaved } = hooks;

  const scope = () => (state.everything ? table.list : table.pageRows());
  /** @param {Iterable<number>} rows */
  const idsOf = (rows) => Array.from(rows, (row) => table.ids[row]);

  /**
   * What an acceptance of the page, or of all that match, would record.
   * @returns {Plan}
   */
  function plan() {
    const rows = scope();
    const take = Array.from(table.acceptable(rows));
    const { answered, open } = table.marked(rows);
    const flying = rows.reduce((sum, row) => sum + Number(table.is(row, ROW_FLYING)), 0);
    const seconds = screen.measured();
    const unseen = take.reduce((sum, row) => sum + Number(seconds(table.ids[row]) === 0), 0);
    return { take, answered, open, flying, unseen, everything: state.everything, total: rows.length };
  }

  function accept() {
    if (state.asked) {
      confirm();
      return;
    }
    if (performance.now() - state.turnedAt < GRID_TURN_PAUSE) {
      say("warn", "That came just as the page changed, and was not counted.");
      return;
    }
    const planned = plan();
    const amount = planned.take.length + planned.answered.length;
    if (amount === 0) {
      say("warn", planned.flying ? "These are being saved." : "There is nothing to accept here.");
    } else if (amount > GRID_ASK_ABOVE) {
      state.asked = planned;
      paint();
    } else {
      commit(planned);
    }
  }

  // Records the answers given to marked images alone.
  function saveMarked() {
    if (state.asked) return;
    const planned = plan();
    if (planned.answered.length) commit({ ...planned, take: [], open: [] });
    else say("warn", "No marked image here has an answer yet.");
  }

  function confirm() {
    const planned = state.asked;
    state.asked = null;
    if (planned) commit(planned);
  }

  /** @param {Plan} plan */
  function commit({ take, answered, open, everything: all }) {
    const batch = newUid();
    const seconds = screen.measured();
    /** @type {(row: number, given: MarkedAnswer) => Answer} */
    const answer = (row, { action, label }) => ({
      id: table.ids[row], version: table.version[row], action, label,
      confidence: action === "label" ? null : table.confidence[row], seconds: seconds(table.ids[row]),
    });
    const given = answered.flatMap((row) => {
      const mark = table.marks.get(table.ids[row]);
      return mark ? [{ row, mark }] : [];
    });
    const answers = [
      ...take.map((row) => answer(row, { action: "accept", label: table.classes[table.predicted[row]] })),
      ...given.map(({ row, mark }) => answer(row, mark)),
    ];
    /** @type {[number, MarkedAnswer | null][]} */
    const marks = given.map(({ row, mark }) => [table.ids[row], table.group ? null : mark]);
    journal.set(batch, {
      page: table.page, filter: table.filter, marks, all, open: idsOf(open), ids: idsOf([...take, ...answered]),
      passed: take.length > 0, query: state.query,
    });
    table.flag([...take, ...answered], ROW_FLYING);
    state.outcome = null;
    sender.send(gridJob(answers, { round: table.round, batch }));
    paint();
  }

  /** @param {SenderEvent} event */
  function onSender(event) {
    if (event.type === "acks") onAcks(event.job, event.acks);
    if (event.type === "undone") onUndone(event.job, event.acks);
    if (event.type === "dropped") putBack(event.job.batch, event.job.ids, "Taken back before it was sent.");
    if (event.type === "refused") onRefused(event.job, event.message);
    paint();
  }

  /**
   * @param {Batch} job
   * @param {Ack[]} acks
   */
  function onAcks(job, acks) {
    const from = journal.get(job.batch);
    /** @type {{ [action: string]: number }} */
    const counts = {};
    /** @type {Left[]} */
    const left = [];
    acks.forEach((ack, i) => {
      const id = gridAckImage(job, ack);
      const saved = isRecorded(ack);
      const row = table.learn(ack.state, saved ? ROW_DONE : 0) ?? table.rowOf.get(id);
      if (row !== undefined) table.flag([row], ROW_FLYING, false);
      if (saved) {
        const action = gridActionAt(job, i);
        counts[action] = (counts[action] || 0) + 1;
        table.marks.delete(id);
      } else {
        left.push({ id, ack });
      }
    });
    const words = GRID_ACTIONS.filter((action) => counts[action]).map((action) => `${count(counts[action])} ${GRID_WORDS[action]}`);
    const open = from?.open.length || 0;
    const rest = open ? ` ${gridOpenWords(open)}` : "";
    state.outcome = words.length ? { kind: "good", text: `Saved: ${words.join(", ")}.${rest}` } : null;
    if (left.length) nameConflicts(left);
    passOn(from, left);
    onSaved();
  }

  /**
   * The images answered leave, what was passed over comes last, and the next page comes in front.
   * @param {Origin | undefined} from
   * @param {Left[]} left not recorded
   */
  function passOn(from, left) {
    const putOff = from?.passed && table.leaves ? table.rowsOf([...from.open, ...left.map((one) => one.id)]) : [];
    const here = from && from.query === state.query && from.page === table.page && from.filter === table.filter;
    table.flag(putOff, ROW_LATER);
    table.rearrange(putOff);
    if (from?.all) state.everything = false;
    if (!here || !from.passed) {
      state.focus = Math.min(state.focus, table.list.length - 1);
      return;
    }
    if (!table.leaves && !from.all) table.page = Math.min(table.pages() - 1, table.page + 1);
    turned(true);
  }

  /** @param {Left[]} left */
  async function nameConflicts(left) {
    const refused = left.find(({ ack }) => ack.status === "refused");
    const why = refused ? refused.ack.message || "refused" : "changed elsewhere after you saw them";
    const notice = { kind: refused ? "refused" : "conflict", text: `${count(left.length)} not recorded: ${why}.` };
    state.notices = [...state.notices, notice];
    const names = await Promise.all(left.slice(0, 5).map(async ({ id, ack }) => {
      const now = ack.state?.label ? `now “${ack.state.label}”` : "now without a label";
      // the number names it, too
      const item = /** @type {ReviewItem | null} */ (await fetchJson(`${base}/item/${id}`).catch(() => null));
      return `${item?.name || `image ${id}`} (${now})`;
    }));
    const text = `${notice.text} ${names.join(", ")}${left.length > 5 ? ` and ${count(left.length - 5)} more` : ""}.`;
    state.notices = state.notices.map((other) => (other === notice ? { ...notice, text } : other));
    paint();
  }

  /**
   * Shows the images of a batch again where they were answered, with their marks.
   * @param {string} batch
   * @param {Iterable<number>} ids of the batch, where it is known
   * @param {string} text
   */
  function putBack(batch, ids, text) {
    const from = journal.get(batch);
    journal.delete(batch);
    say("good", text);
    if (!from) {
      table.flag(table.rowsOf(ids), ROW_FLYING, false);
      table.arrange();
      return;
    }
    table.flag(table.rowsOf(from.ids), ROW_FLYING | ROW_DONE, false);
    table.flag(table.rowsOf(from.open), ROW_LATER, false);
    for (const [id, given] of from.marks) if (table.rowOf.has(id)) table.marks.set(id, given);
    if (from.query === state.query) Object.assign(table, { filter: from.filter, page: from.page });
    state.everything = false;
    table.arrange();
    turned();
  }

  /**
   * @param {{ target: string }} job
   * @param {Ack[]} acks
   */
  function onUndone(job, acks) {
    let unknown = 0;
    for (const ack of acks) if (ack.state && table.learn(ack.state) === undefined) unknown += 1;
    const changed = acks.filter((ack) => ack.status === "conflict");
    const stay = changed.length ? ` ${count(changed.length)} were changed since and stay as they are.` : "";
    putBack(job.target, [], `Took back ${count(acks.length - changed.length)} answers.${stay}`);
    for (const ack of changed) table.learn(ack.state, ROW_DONE);
    if (changed.length) table.arrange();
    if (unknown) load();
    onSaved();
  }

  /**
   * @param {Job} job
   * @param {string} message
   */
  function onRefused(job, message) {
    if (job.kind === "decide") putBack(job.batch, job.ids, "");
    const what = job.kind === "undo" ? "taken back" : "recorded";
    state.notices = [...state.notices, { kind: "refused", text: `Not ${what}: ${message}` }];
  }

  return {
    plan, accept, saveMarked, confirm, stop,
    status: sender.status, canUndo: sender.canUndo, pendingImages: sender.pendingImages,
    undo() {
      if (!state.asked && !sender.undo()) say("warn", "There is no batch to take back.");
    },
  };
}
