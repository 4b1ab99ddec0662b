// Batches of answers: what one would record, sent as one, and what is shown when the ledger has answered.

import { count, newUid } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { GRID_ACTIONS, gridAckImage, gridJob, gridSenderFor } from "./sender.js";
import { gridOpenWords, ROW_DONE, ROW_FLYING, ROW_LATER } from "./table.js";

const GRID_ASK_ABOVE = 2000; // larger batches are recorded after a question
const GRID_TURN_PAUSE = 400; // ms in which a page that came by itself is not accepted: the press was for the one before
const GRID_WORDS = { accept: "accepted", correct: "corrected", reject: "rejected", label: "labeled" };

// state: the session's {everything, asked, outcome, notices, query, focus, turnedAt}. hooks: paint(), say(kind, text),
// turned(byItself), load(), saved().
export function createGridBatches(base, table, state, hooks) {
  const sender = gridSenderFor(base);
  const journal = new Map(); // batch -> where it was sent from
  const stop = sender.subscribe(onSender);
  const { paint, say, turned, load, saved: onSaved } = hooks;

  const scope = () => (state.everything ? table.list : table.pageRows());
  const idsOf = (rows) => Array.from(rows, (row) => table.ids[row]);

  // What an acceptance of the page, or of all that match, would record.
  function plan() {
    const rows = scope();
    const take = Array.from(table.acceptable(rows));
    const { answered, open } = table.marked(rows);
    const flying = rows.reduce((sum, row) => sum + Number(table.is(row, ROW_FLYING)), 0);
    return { take, answered, open, flying, everything: state.everything, total: rows.length };
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
    const found = plan();
    if (found.take.length + found.answered.length === 0) {
      say("warn", found.flying ? "These are being saved." : "There is nothing to accept here.");
    } else if (found.take.length + found.answered.length > GRID_ASK_ABOVE) {
      state.asked = found;
      paint();
    } else {
      commit(found);
    }
  }

  // Records the answers given to marked images alone.
  function saveMarked() {
    const found = plan();
    if (state.asked) return;
    if (found.answered.length) commit({ ...found, take: [], open: [] });
    else say("warn", "No marked image here has an answer yet.");
  }

  function confirm() {
    const found = state.asked;
    state.asked = null;
    if (found) commit(found);
  }

  function commit({ take, answered, open, everything: all }) {
    const batch = newUid();
    const named = (row) => table.marks.get(table.ids[row]);
    const one = (row, action, label) => ({
      id: table.ids[row], version: table.version[row], action, label,
      confidence: action === "label" ? null : table.confidence[row],
    });
    const answers = [
      ...take.map((row) => one(row, "accept", table.classes[table.predicted[row]])),
      ...answered.map((row) => one(row, named(row).action, named(row).label)),
    ];
    const marks = answered.map((row) => [table.ids[row], named(row)]);
    journal.set(batch, {
      page: table.page, filter: table.filter, marks, all, open: idsOf(open), ids: idsOf([...take, ...answered]),
      passed: take.length > 0, query: state.query,
    });
    table.flag([...take, ...answered], ROW_FLYING);
    state.outcome = null;
    sender.send(gridJob(answers, { round: table.round, batch }));
    paint();
  }

  function onSender(event) {
    if (event.type === "acks") onAcks(event.job, event.acks);
    if (event.type === "undone") onUndone(event.job, event.acks);
    if (event.type === "dropped") putBack(event.job, "Taken back before it was sent.");
    if (event.type === "refused") onRefused(event.job, event.message);
    paint();
  }

  const rowsOf = (ids) => ids.map((id) => table.rowOf.get(id)).filter((row) => row !== undefined);

  function onAcks(job, acks) {
    const from = journal.get(job.batch);
    const counts = {};
    const left = [];
    acks.forEach((ack, i) => {
      const id = gridAckImage(job, ack);
      const saved = ack.status === "saved" || ack.status === "duplicate";
      const row = table.learn(ack.state, saved ? ROW_DONE : 0) ?? table.rowOf.get(id);
      if (row !== undefined) table.flag([row], ROW_FLYING, false);
      if (saved) {
        const action = GRID_ACTIONS[job.actions[i]];
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

  // The images answered leave, what was passed over comes last, and the next page comes in front.
  function passOn(from, left) {
    const putOff = from?.passed && table.leaves ? rowsOf([...from.open, ...left.map((one) => one.id)]) : [];
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

  async function nameConflicts(left) {
    const refused = left.find(({ ack }) => ack.status === "refused");
    const why = refused ? refused.ack.message || "refused" : "changed elsewhere after you saw them";
    const notice = { kind: refused ? "refused" : "conflict", text: `${count(left.length)} not recorded: ${why}.` };
    state.notices = [...state.notices, notice];
    const names = await Promise.all(left.slice(0, 5).map(async ({ id, ack }) => {
      const now = ack.state?.label ? `now “${ack.state.label}”` : "now without a label";
      const item = await fetchJson(`${base}/item/${id}`).catch(() => null); // the number names it, too
      return `${item?.name || `image ${id}`} (${now})`;
    }));
    const text = `${notice.text} ${names.join(", ")}${left.length > 5 ? ` and ${count(left.length - 5)} more` : ""}.`;
    state.notices = state.notices.map((other) => (other === notice ? { ...notice, text } : other));
    paint();
  }

  // Shows the images of a batch again where they were answered, with their marks.
  function putBack(job, text) {
    const from = journal.get(job.batch);
    journal.delete(job.batch);
    say("good", text);
    if (!from) {
      table.flag(rowsOf(job.ids || []), ROW_FLYING, false);
      table.arrange();
      return;
    }
    const rows = rowsOf(from.ids);
    table.flag(rows, ROW_FLYING | ROW_DONE, false);
    table.flag(rowsOf(from.open), ROW_LATER, false);
    for (const [id, given] of from.marks) if (table.rowOf.has(id)) table.marks.set(id, given);
    if (from.query === state.query) Object.assign(table, { filter: from.filter, page: from.page });
    state.everything = false;
    table.arrange();
    turned();
  }

  function onUndone(job, acks) {
    let unknown = 0;
    for (const ack of acks) if (ack.state && table.learn(ack.state) === undefined) unknown += 1;
    const kept = acks.filter((ack) => ack.status === "conflict");
    const stay = kept.length ? ` ${count(kept.length)} were changed since and stay as they are.` : "";
    putBack({ batch: job.target }, `Took back ${count(acks.length - kept.length)} answers.${stay}`);
    for (const ack of kept) table.learn(ack.state, ROW_DONE);
    if (kept.length) table.arrange();
    if (unknown) load();
    onSaved();
  }

  function onRefused(job, message) {
    if (job.kind === "decide") putBack(job, "");
    state.notices = [...state.notices, { kind: "refused", text: `Not ${job.kind === "undo" ? "taken back" : "recorded"}: ${message}` }];
  }

  return {
    plan, accept, saveMarked, confirm, stop,
    status: sender.status, canUndo: sender.canUndo, pendingImages: sender.pendingImages,
    undo: () => state.asked || sender.undo() || say("warn", "There is no batch to take back."),
  };
}
