// The outbox: decisions on their way to the ledger.
// Each lives in localStorage under its own key until the ledger has acknowledged its uid, so that neither a closed tab,
// a second tab nor a lost connection can lose it. One outbox a project and page, shared by all components; it goes on
// sending after a component has gone.

import { afterPaint, newUid } from "./dom.js";
import { fetchJson } from "./http.js";

const OUTBOX_LIMIT = 200; // entries in one request
const OUTBOX_FIELDS = [
  "uid", "image_id", "base_version", "action", "label", "round", "confidence", "batch", "seconds",
];

export function outboxFor(base) {
  const registry = (globalThis.__starlingOutboxes ||= new Map());
  if (!registry.has(base)) registry.set(base, createOutbox(base));
  return registry.get(base);
}

function createOutbox(base) {
  const listeners = new Set();
  const store = outboxStore(base);
  let entries = store.load();
  let flying = false;
  let failures = 0;
  let problem = "";
  let retry = 0;
  let limit = OUTBOX_LIMIT;

  const emit = (event) => listeners.forEach((listener) => listener(event));
  const status = () => ({
    pending: entries.length, flying, problem, today: store.today(), kept: store.works(),
  });
  const changed = () => emit({ type: "status", status: status() });

  function push(entry) {
    entries.push(entry);
    store.keep(entry);
    changed();
    afterPaint(pump); // what was answered is kept; sending it must not hold up the next image
  }

  function remove(entry) {
    entries = entries.filter((other) => other !== entry);
    store.forget(entry);
  }

  // The first waiting entry of each image; an undo travels alone. Later ones wait for the version the first one makes.
  function nextBatch() {
    const blocked = new Set();
    const batch = [];
    for (const entry of entries) {
      const free = !blocked.has(entry.image_id);
      blocked.add(entry.image_id);
      if (entry.kind === "undo") {
        if (batch.length === 0 && free) return [entry];
        if (entry.image_id === null) break; // takes back "the last one": everything before it must be in first
      } else if (free) {
        batch.push(entry);
        if (batch.length >= limit) break;
      }
    }
    return batch;
  }

  async function pump() {
    if (flying || entries.length === 0) return;
    clearTimeout(retry);
    const batch = nextBatch();
    flying = true;
    changed();
    batch.forEach((entry) => (entry.attempts += 1));
    try {
      await send(batch);
      failures = 0;
      problem = "";
      limit = Math.min(OUTBOX_LIMIT, limit * 2);
    } catch (error) {
      failed(batch, error);
    }
    flying = false;
    changed();
    if (failures === 0) pump();
    else retry = setTimeout(pump, Math.min(15000, 400 * 2 ** Math.min(failures, 6)));
  }

  async function send(batch) {
    const undo = batch[0].kind === "undo";
    const body = JSON.stringify(undo
      ? { uid: batch[0].uid, target: batch[0].target }
      : { decisions: batch.map((entry) => pick(entry, OUTBOX_FIELDS)) });
    const answer = await fetchJson(`${base}${undo ? "/undo" : "/decisions"}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      keepalive: body.length < 60000, // lets it arrive although the tab closes
    });
    const acks = answer.acks || [];
    if (undo) undone(batch[0], acks, answer.image || null);
    else batch.forEach((entry) => acknowledged(entry, acks.find((ack) => ack.uid === entry.uid)));
    if (!undo && batch.every((entry) => entries.includes(entry))) throw new Error("no acknowledgement came back");
  }

  function acknowledged(entry, ack) {
    if (!ack) return;
    remove(entry);
    if (ack.status === "saved" || ack.status === "duplicate") {
      store.countToday(1);
      rebase(entry.image_id, ack);
    }
    emit({ type: "ack", entry, ack });
  }

  function undone(entry, acks, image) {
    remove(entry);
    const done = acks.filter((ack) => ack.status === "saved" || ack.status === "duplicate");
    store.countToday(-done.length);
    if (done.length === 1) rebase(entry.image_id, done[0]);
    emit({ type: "undone", entry, acks, image });
  }

  function rebase(imageId, ack) {
    const version = ack.seq ?? ack.state?.version;
    if (version === undefined || version === null) return;
    for (const entry of entries) {
      if (entry.kind !== "decision" || entry.image_id !== imageId) continue;
      entry.base_version = version;
      store.keep(entry);
    }
  }

  // 400 and 422 mean that something in the request is wrong: find it by sending one at a time, then let it go with words.
  function failed(batch, error) {
    const wrong = error.status === 400 || error.status === 422 || (batch[0].kind === "undo" && error.status === 409);
    if (wrong && batch.length > 1) {
      limit = 1;
    } else if (wrong) {
      remove(batch[0]);
      emit({ type: "refused", entry: batch[0], message: error.message });
    } else {
      failures += 1;
      problem = error.message;
    }
  }

  globalThis.addEventListener?.("online", pump);
  globalThis.addEventListener?.("pagehide", pump);
  pump();

  return {
    status,
    decide(decision) {
      push({ ...decision, kind: "decision", attempts: 0, order: store.nextOrder() });
    },
    undo(target, imageId) {
      const uid = newUid();
      push({ kind: "undo", uid, target, image_id: imageId, attempts: 0, order: store.nextOrder() });
      return uid;
    },
    // Takes a decision out again. Only what was never sent can be: else nobody knows whether it arrived.
    drop(uid) {
      const entry = entries.find((other) => other.uid === uid && other.attempts === 0);
      if (!entry) return false;
      remove(entry);
      changed();
      return true;
    },
    holds: (uid) => entries.some((entry) => entry.uid === uid),
    pendingImages: () => new Set(entries.map((entry) => entry.image_id)),
    subscribe(listener) {
      listeners.add(listener);
      listener({ type: "status", status: status() });
      return () => listeners.delete(listener);
    },
  };
}

function pick(source, names) {
  return Object.fromEntries(names.map((name) => [name, source[name] ?? null]));
}

// localStorage with one key an entry: two tabs of one project never overwrite each other.
function outboxStore(base) {
  const prefix = `starling.outbox|${base}|`;
  const dayKey = `starling.today|${base}`;
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

  function today() {
    return guarded(() => {
      const kept = JSON.parse(localStorage.getItem(dayKey) || "null");
      return kept && kept.day === new Date().toDateString() ? kept.n : 0;
    }, 0);
  }

  return {
    today,
    works: () => works,
    nextOrder: () => {
      order = Math.max(order + 1, Date.now() * 1000);
      return order;
    },
    load: () => guarded(() => {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
      const found = keys.map((key) => guarded(() => JSON.parse(localStorage.getItem(key)), null)).filter(Boolean);
      return found.map((entry) => ({ ...entry, attempts: 1 })).sort((a, b) => a.order - b.order);
    }, []),
    keep: (entry) => guarded(() => localStorage.setItem(prefix + entry.uid, JSON.stringify(entry))),
    forget: (entry) => guarded(() => localStorage.removeItem(prefix + entry.uid)),
    countToday: (change) => guarded(() => {
      const kept = { day: new Date().toDateString(), n: Math.max(0, today() + change) };
      localStorage.setItem(dayKey, JSON.stringify(kept));
    }),
  };
}
