// Batches on their way to the ledger, one after another. Each is kept in localStorage until it is acknowledged; its
// uids are made of the batch's uid and the image's id, so that sending it again records nothing twice.

import { newUid } from "../common/dom.js";
import { postJson } from "../common/http.js";

const GRID_PART = 20000; // decisions in one request after the server refused all of them in one
const GRID_UNDO_STEPS = 50;
const GRID_PATIENCE = 300000; // ms
export const GRID_ACTIONS = ["accept", "correct", "reject", "label"];

export function gridSenderFor(base) {
  const registry = (globalThis.__starlingGridSenders ||= new Map());
  if (!registry.has(base)) registry.set(base, createGridSender(base));
  return registry.get(base);
}

// answers: [{id, version, action, label, confidence}]. Columns keep 50,000 of them under localStorage's limit.
export function gridJob(answers, { round, batch }) {
  const labels = [...new Set(answers.map((one) => one.label).filter((label) => label !== null))];
  const place = new Map(labels.map((label, k) => [label, k]));
  return {
    kind: "decide", batch, round, labels, ids: answers.map((one) => one.id), versions: answers.map((one) => one.version),
    actions: answers.map((one) => GRID_ACTIONS.indexOf(one.action)).join(""),
    given: answers.map((one) => (one.label === null ? -1 : place.get(one.label))),
    confidence: answers.map((one) => (Number.isFinite(one.confidence) ? Number(one.confidence.toFixed(6)) : null)),
  };
}

function gridDecisions(job, from, to) {
  return job.ids.slice(from, to).map((id, j) => {
    const i = from + j;
    const action = GRID_ACTIONS[job.actions[i]];
    return {
      uid: `${job.batch}-${id}`, image_id: id, base_version: job.versions[i], action,
      label: job.given[i] < 0 ? null : job.labels[job.given[i]], confidence: job.confidence[i],
      round: action === "label" ? null : job.round, batch: job.batch, seconds: null,
    };
  });
}

export const gridAckImage = (job, ack) => Number(ack.uid.slice(job.batch.length + 1));

function createGridSender(base) {
  const listeners = new Set();
  const store = gridStore(base);
  let jobs = store.load();
  let done = store.done(); // batches that can be taken back, the newest last
  let flying = false;
  let failures = 0;
  let problem = "";
  let retry = 0;

  const emit = (event) => listeners.forEach((listener) => listener(event));
  const changed = () => emit({ type: "status" });
  const status = () => ({
    flying, problem, kept: store.works(), undoing: jobs.length > 0 && jobs[0].kind === "undo",
    pending: jobs.reduce((sum, job) => sum + (job.kind === "decide" ? job.ids.length : 0), 0), jobs: jobs.length,
  });

  function push(job) {
    jobs.push(job);
    store.keep(job);
    changed();
    pump();
  }

  function remove(job) {
    jobs = jobs.filter((other) => other !== job);
    store.forget(job);
  }

  function remember(list) {
    done = list.slice(-GRID_UNDO_STEPS);
    store.keepDone(done);
  }

  async function pump() {
    if (flying || !jobs.length) return;
    clearTimeout(retry);
    const [job] = jobs;
    flying = true;
    job.tried = true;
    changed();
    try {
      if (job.kind === "undo") await sendUndo(job);
      else await sendBatch(job);
      failures = 0;
      problem = "";
    } catch (error) {
      failed(job, error);
    }
    flying = false;
    changed();
    if (failures === 0) pump();
    else retry = setTimeout(pump, Math.min(15000, 400 * 2 ** Math.min(failures, 6)));
  }

  async function sendBatch(job) {
    const size = job.part || job.ids.length;
    const acks = [];
    for (let from = 0; from < job.ids.length; from += size) {
      const decisions = gridDecisions(job, from, from + size);
      const answer = await postJson(`${base}/decisions`, { decisions }, { timeout: GRID_PATIENCE });
      acks.push(...(answer.acks || []));
    }
    if (acks.length < job.ids.length) throw new Error("no acknowledgement came back");
    remove(job);
    const saved = acks.filter((ack) => ack.status === "saved" || ack.status === "duplicate").length;
    if (saved) remember([...done, { batch: job.batch, n: saved }]);
    emit({ type: "acks", job, acks });
  }

  async function sendUndo(job) {
    const { acks } = await postJson(`${base}/undo`, { uid: job.uid, target: job.target }, { timeout: GRID_PATIENCE });
    remove(job);
    remember(done.filter((one) => one.batch !== job.target));
    emit({ type: "undone", job, acks: acks || [] });
  }

  // 400, 413 and 422 mean that the request itself is wrong: perhaps too large, else it is let go with words.
  function failed(job, error) {
    const wrong = [400, 413, 422].includes(error.status) || (job.kind === "undo" && error.status === 409);
    if (wrong && job.kind === "decide" && !job.part && job.ids.length > GRID_PART) {
      job.part = GRID_PART;
      store.keep(job);
    } else if (wrong) {
      remove(job);
      if (job.kind === "undo") remember(done.filter((one) => one.batch !== job.target));
      emit({ type: "refused", job, message: error.message });
    } else {
      failures += 1;
      problem = error.message;
    }
  }

  // Takes the newest batch back: one never sent is dropped, any other gets an undo that travels behind it.
  function undo() {
    const taken = new Set(jobs.filter((job) => job.kind === "undo").map((job) => job.target));
    const waiting = jobs.findLast((job) => job.kind === "decide" && !taken.has(job.batch));
    if (waiting && !waiting.tried) {
      remove(waiting);
      emit({ type: "dropped", job: waiting });
      changed();
      return true;
    }
    const target = waiting?.batch ?? done.findLast((one) => !taken.has(one.batch))?.batch;
    if (!target) return false;
    push({ kind: "undo", batch: `undo-${target}`, uid: newUid(), target, order: store.nextOrder() });
    return true;
  }

  globalThis.addEventListener?.("online", pump);
  pump();

  return {
    status, undo,
    send: (job) => push({ ...job, order: store.nextOrder() }),
    canUndo: () => done.length > 0 || jobs.some((job) => job.kind === "decide"),
    pendingImages: () => jobs.flatMap((job) => (job.kind === "decide" ? job.ids : [])),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

// localStorage for batches not yet acknowledged, sessionStorage for those that can still be taken back.
function gridStore(base) {
  const prefix = `starling.batch|${base}|`;
  const doneKey = `starling.batches|${base}`;
  let works = true;
  let order = 0;

  function guarded(work, otherwise) {
    try {
      return work();
    } catch (error) {
      console.warn("Starling: this browser keeps no local data", error);
      works = false;
      return otherwise;
    }
  }

  return {
    works: () => works,
    nextOrder: () => (order = Math.max(order + 1, Date.now() * 1000)),
    load: () => guarded(() => {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
      const found = keys.map((key) => guarded(() => JSON.parse(localStorage.getItem(key)), null)).filter(Boolean);
      return found.map((job) => ({ ...job, tried: true })).sort((a, b) => a.order - b.order);
    }, []),
    keep: (job) => guarded(() => localStorage.setItem(prefix + job.batch, JSON.stringify(job))),
    forget: (job) => guarded(() => localStorage.removeItem(prefix + job.batch)),
    done: () => guarded(() => JSON.parse(sessionStorage.getItem(doneKey) || "[]"), []),
    keepDone: (list) => guarded(() => sessionStorage.setItem(doneKey, JSON.stringify(list))),
  };
}
