// What is on its way to the ledger and must not get lost. Each entry lives in localStorage under its own key until the
// ledger has acknowledged it, so that neither a closed tab, a second tab nor a lost connection can lose it. An encoder
// says what travels together and how; it goes on sending after a component has gone.

import { messageOf } from "./http.js";

const FIRST_PAUSE = 400; // ms before the first new try; each further one waits twice as long
const MOST_DOUBLINGS = 6;
const LONGEST_PAUSE = 15000;

/**
 * What every entry has: `order` gives the order of the entries of one browser, `attempts` counts how often it was sent.
 * @typedef {{ order: number, attempts: number }} Kept
 */

/**
 * An entry before the queue has it.
 * @template Entry
 * @typedef {Entry extends Kept ? Omit<Entry, keyof Kept> : never} Content
 */

/**
 * What makes a queue of one kind of entries.
 * @template {Kept} Entry
 * @template Event
 * @typedef {object} Encoding
 * @property {string} prefix of the entries' keys in localStorage
 * @property {(entry: Entry) => string} keyOf rest of an entry's key
 * @property {(entries: readonly Entry[]) => Entry[]} next the entries that travel together now, some of the first ones
 * @property {(group: Entry[]) => Promise<void>} send takes those out that were acknowledged; throws where none was
 * @property {(group: Entry[], error: unknown) => boolean} isWrong whether the request itself was at fault
 * @property {(group: Entry[]) => boolean} divide makes the next request smaller; false when it cannot be
 * @property {(entry: Entry, message: string) => void} refused tells of an entry that was let go with words
 * @property {() => Event} status the event that tells of a change
 * @property {(work: () => void) => void} soon when to send what was just pushed
 * @property {readonly string[]} wakes events of the window after which to try at once
 */

/**
 * @template {Kept} Entry
 * @template Event
 * @typedef {ReturnType<typeof createDurableQueue<Entry, Event>>} DurableQueue
 */

/**
 * @template {Kept} Entry
 * @template Event
 * @param {Encoding<Entry, Event>} encoding
 */
export function createDurableQueue(encoding) {
  const { prefix, keyOf, soon } = encoding;
  const store = createStore();
  /** @type {Set<(event: Event) => void>} */
  const listeners = new Set();
  let entries = load();
  let order = 0;
  let flying = false;
  let failures = 0;
  let problem = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;

  /** @returns {Entry[]} */
  function load() {
    const records = store.guarded(() => Object.keys(localStorage).filter((key) => key.startsWith(prefix)), []);
    const loaded = records.map((key) => store.read(localStorage, key)).filter((entry) => entry !== null);
    // whether an earlier page sent it nobody knows
    return loaded.map((entry) => ({ .../** @type {Entry} */ (entry), attempts: 1 })).sort((a, b) => a.order - b.order);
  }

  /** @param {Event} event */
  const emit = (event) => listeners.forEach((listener) => listener(event));
  const changed = () => emit(encoding.status());

  /** @param {Entry} entry */
  const keep = (entry) => store.write(localStorage, prefix + keyOf(entry), entry);

  /** @param {Content<Entry>} content */
  function push(content) {
    order = Math.max(order + 1, Date.now() * 1000);
    const entry = /** @type {Entry} */ (/** @type {unknown} */ ({ ...content, attempts: 0, order }));
    entries.push(entry);
    keep(entry);
    changed();
    soon(pump);
  }

  /** @param {Entry} entry */
  function remove(entry) {
    entries = entries.filter((other) => other !== entry);
    store.guarded(() => localStorage.removeItem(prefix + keyOf(entry)), undefined);
  }

  async function pump() {
    if (flying || entries.length === 0) return;
    clearTimeout(retry);
    const group = encoding.next(entries);
    flying = true;
    for (const entry of group) entry.attempts += 1;
    changed();
    try {
      await encoding.send(group);
      failures = 0;
      problem = "";
    } catch (error) {
      failed(group, error);
    }
    flying = false;
    changed();
    if (failures === 0) pump();
    else retry = setTimeout(pump, Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(failures, MOST_DOUBLINGS)));
  }

  /**
   * A wrong request is made smaller until the entry at fault is alone, which is then let go with words.
   * @param {Entry[]} group
   * @param {unknown} error
   */
  function failed(group, error) {
    if (!encoding.isWrong(group, error)) {
      failures += 1;
      problem = messageOf(error);
    } else if (!encoding.divide(group)) {
      remove(group[0]);
      encoding.refused(group[0], messageOf(error));
    }
  }

  for (const wake of encoding.wakes) globalThis.addEventListener?.(wake, pump);

  return {
    store, push, remove, keep, emit, changed, pump,
    entries: () => /** @type {readonly Entry[]} */ (entries),
    condition: () => ({ flying, problem, kept: store.works() }),
    /**
     * Takes an entry out again. Only what was never sent can be: else nobody knows whether it arrived.
     * @param {Entry} entry
     */
    drop(entry) {
      if (entry.attempts > 0) return false;
      remove(entry);
      return true;
    },
    /** @param {(event: Event) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}

// The browser's storage. One that keeps nothing (a private window, a full disk) is told of, and nothing breaks.
function createStore() {
  let works = true;

  /**
   * @template Result
   * @param {() => Result} work
   * @param {Result} otherwise
   */
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
    guarded,
    works: () => works,
    /**
     * @param {Storage} storage
     * @param {string} key
     * @returns {unknown} null where there is nothing
     */
    read: (storage, key) => guarded(() => JSON.parse(storage.getItem(key) ?? "null"), null),
    /**
     * @param {Storage} storage
     * @param {string} key
     * @param {unknown} value
     */
    write: (storage, key, value) => guarded(() => storage.setItem(key, JSON.stringify(value)), undefined),
  };
}

/**
 * One queue for each base of the routes, that is a project and page, shared by all components.
 * @template Queue
 * @param {(base: string) => Queue} create
 */
export function onePerBase(create) {
  /** @type {Map<string, Queue>} */
  const queues = new Map();
  return (/** @type {string} */ base) => {
    const queue = queues.get(base) ?? create(base);
    queues.set(base, queue);
    return queue;
  };
}
