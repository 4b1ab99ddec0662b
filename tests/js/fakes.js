// What the modules find in a browser and node has not: storage, a server with a ledger, pictures, and a small document.

/** A Storage; one that is full or forbidden throws. */
export class FakeStorage {
  #values = new Map();

  constructor({ broken = false } = {}) {
    this.broken = broken;
    return new Proxy(this, {
      ownKeys: () => [...this.#values.keys()],
      getOwnPropertyDescriptor: (_, key) => (this.#values.has(key) ? { enumerable: true, configurable: true } : undefined),
      get: (_, name) => (typeof this[name] === "function" ? this[name].bind(this) : this[name]),
    });
  }

  #check() {
    if (this.broken) throw new Error("QuotaExceededError");
  }

  getItem(key) {
    this.#check();
    return this.#values.get(key) ?? null;
  }

  setItem(key, value) {
    this.#check();
    this.#values.set(key, String(value));
  }

  removeItem(key) {
    this.#check();
    this.#values.delete(key);
  }

  keys() {
    return [...this.#values.keys()];
  }
}

/** Lets promises and timers that wait for nothing run. */
export async function flush(turns = 30) {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Moves mocked timers on by `ms` and lets all that follows run. */
export async function pass(t, ms) {
  t.mock.timers.tick(ms);
  await flush();
}

export function jsonAnswer(body, status = 200) {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/**
 * Starling's server as the queues meet it: a ledger that records each uid once, refuses a decision made on an older
 * version than the one in force, and can be told to fail.
 */
export class FakeServer {
  recorded = new Map(); // uid -> {decision, seq}
  requests = []; // {path, body}
  faults = []; // for the next requests: "down" | "lost" | a status | null
  live = ""; // version of the live model's predictions
  wrong = new Set(); // ids of images whose decisions are refused with 422
  states = new Map(); // image id -> state
  #seq = 0;

  fetch = async (url, init = {}) => {
    const path = new URL(url, "http://starling").pathname.split("/").at(-1);
    const body = init.body ? JSON.parse(init.body) : null;
    this.requests.push({ path, body });
    const fault = this.faults.shift() ?? null;
    if (fault === "down") throw new TypeError("fetch failed");
    if (typeof fault === "number") return jsonAnswer({ message: `refused with ${fault}` }, fault);
    const answer = this.#answer(path, body);
    if (fault === "lost") throw new TypeError("fetch failed"); // recorded, but the answer never came
    return answer;
  };

  #answer(path, body) {
    if (path === "decisions") {
      if (body.decisions.some((one) => this.wrong.has(one.image_id))) return jsonAnswer({ message: "a bad decision" }, 422);
      return jsonAnswer({ acks: body.decisions.map((decision) => this.#record(decision)), live: this.live });
    }
    if (path === "undo") return this.#undo(body);
    return this.routes?.(path, body) ?? jsonAnswer({ message: "no such route" }, 404);
  }

  stateOf(id) {
    if (!this.states.has(id)) {
      this.states.set(id, {
        image_id: id, version: 0, label: null, source: null, round: null, confidence: null, reviewed: false, mark: null,
      });
    }
    return this.states.get(id);
  }

  #record(decision) {
    const known = this.recorded.get(decision.uid);
    const state = this.stateOf(decision.image_id);
    if (known) return { uid: decision.uid, status: "duplicate", state: { ...state }, seq: known.seq, message: "" };
    if (state.version !== decision.base_version) {
      return { uid: decision.uid, status: "conflict", state: { ...state }, seq: null, message: "" };
    }
    this.#seq += 1;
    this.recorded.set(decision.uid, { decision, seq: this.#seq });
    Object.assign(state, { version: this.#seq, label: decision.label, reviewed: true });
    return { uid: decision.uid, status: "saved", state: { ...state }, seq: this.#seq, message: "" };
  }

  #undo({ uid, target }) {
    const known = [...this.recorded.values()].filter(({ decision }) => target === null || decision.uid === target || decision.batch === target);
    const taken = target === null ? known.slice(-1) : known;
    if (!taken.length) return jsonAnswer({ message: "there is nothing to take back" }, 409);
    const acks = taken.map(({ decision }) => {
      this.#seq += 1;
      this.recorded.delete(decision.uid);
      Object.assign(this.stateOf(decision.image_id), { version: this.#seq, label: null, reviewed: false });
      return { uid, status: "saved", state: { ...this.stateOf(decision.image_id) }, seq: this.#seq, message: "" };
    });
    return jsonAnswer({ acks, image: null });
  }

  /** The decisions sent so far, with those sent again. */
  sent() {
    return this.requests.filter(({ path }) => path === "decisions").flatMap(({ body }) => body.decisions);
  }
}

export function aDecision(id, more = {}) {
  return {
    uid: `uid-${id}`, image_id: id, base_version: 0, action: "label", label: "cat", round: null, confidence: null, batch: null,
    seconds: 1, seen_seconds: null, ...more,
  };
}

/** Puts a browser's storage, server and frames in place; returns the server. */
export function browser({ broken = false } = {}) {
  const server = new FakeServer();
  globalThis.localStorage = new FakeStorage({ broken });
  globalThis.sessionStorage = new FakeStorage({ broken });
  globalThis.fetch = server.fetch;
  globalThis.requestAnimationFrame = (work) => setTimeout(work);
  globalThis.Image = FakeImage;
  globalThis.location = new URL("http://starling/");
  globalThis.IntersectionObserver = FakeIntersectionObserver;
  FakeIntersectionObserver.all = [];
  Object.assign(globalThis, { document: new FakeDocument(), Node: FakeNode, Element: FakeElement, HTMLElement: FakeElement,
    HTMLImageElement: FakeImage, Document: FakeDocument, ShadowRoot: class {} });
  return server;
}

let bases = 0;

/** A base of its own for each test: queues live as long as the modules. */
/** Sets the name under which decisions are recorded from now on. */
export function signAs(name) {
  document.cookie = `other=1; starling_who=${encodeURIComponent(name)}`;
}

export function aBase() {
  bases += 1;
  return `/starling/p/test-${bases}`;
}

class FakeNode {
  parentNode = null;
  childNodes = [];

  get isConnected() {
    return true;
  }

  get children() {
    return this.childNodes.filter((child) => child instanceof FakeElement);
  }

  get textContent() {
    return this.childNodes.map((child) => child.textContent).join("");
  }

  set textContent(text) {
    this.replaceChildren(text);
  }

  getRootNode() {
    return this.parentNode ? this.parentNode.getRootNode() : this;
  }

  contains(other) {
    return other === this || this.childNodes.some((child) => child.contains(other));
  }

  append(...children) {
    for (const child of children) this.insertBefore(child, null);
  }

  prepend(child) {
    this.insertBefore(child, this.childNodes[0] ?? null);
  }

  insertBefore(child, before) {
    const node = child instanceof FakeNode ? child : new FakeText(String(child));
    node.remove();
    this.childNodes.splice(before === null ? this.childNodes.length : this.childNodes.indexOf(before), 0, node);
    node.parentNode = this;
  }

  replaceChildren(...children) {
    for (const child of [...this.childNodes]) child.remove();
    this.append(...children);
  }

  remove() {
    if (!this.parentNode) return;
    this.parentNode.childNodes = this.parentNode.childNodes.filter((child) => child !== this);
    this.parentNode = null;
  }
}

class FakeText extends FakeNode {
  constructor(text) {
    super();
    this.text = text;
  }

  get textContent() {
    return this.text;
  }
}

class FakeElement extends FakeNode {
  dataset = {};
  hidden = false;
  disabled = false;
  value = "";
  style = { setProperty() {} };
  attributes = new Map();
  listeners = new Map();
  classList = { add() {}, remove() {}, toggle() {} };

  constructor(tag) {
    super();
    this.tag = tag;
  }

  setAttribute(name, value) {
    this.attributes.set(name, value);
    if (name === "hidden") this.hidden = true;
    if (name.startsWith("data-")) this.dataset[name.slice(5)] = value;
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  addEventListener(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }

  fire(name, event = {}) {
    for (const listener of this.listeners.get(name) ?? []) listener({ target: this, detail: 0, preventDefault() {}, stopPropagation() {}, ...event });
  }

  click() {
    this.fire("click");
  }

  focus() {
    const root = this.getRootNode();
    root.activeElement = this;
  }

  blur() {}

  closest() {
    return null;
  }

  matches(selector) {
    return selector === this.tag;
  }

  get isContentEditable() {
    return false;
  }

  /** The element with a test id, in here. */
  byTestId(id) {
    for (const child of this.children) {
      if (child.dataset.testid === id) return child;
      const inside = child.byTestId(id);
      if (inside) return inside;
    }
    return null;
  }
}

class FakeDocument extends FakeNode {
  head = new FakeElement("head");
  body = new FakeElement("body");
  activeElement = null;
  visibilityState = "visible";
  listeners = new Map();

  createElement(tag) {
    return new FakeElement(tag);
  }

  createElementNS(_, tag) {
    return new FakeElement(tag);
  }

  querySelector() {
    return null;
  }

  addEventListener(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
  }

  removeEventListener(name, listener) {
    this.listeners.set(name, (this.listeners.get(name) ?? []).filter((other) => other !== listener));
  }

  /** The page goes to the background, or comes back. */
  turn(visibilityState) {
    this.visibilityState = visibilityState;
    for (const listener of this.listeners.get("visibilitychange") ?? []) listener({});
  }
}

/** An observer of what is visible, which sees what the test says. */
export class FakeIntersectionObserver {
  static all = [];
  targets = new Set();

  constructor(report, options) {
    Object.assign(this, { report, options });
    FakeIntersectionObserver.all.push(this);
  }

  observe(target) {
    this.targets.add(target);
  }

  unobserve(target) {
    this.targets.delete(target);
  }

  disconnect() {
    this.targets.clear();
  }

  /** Says how much of an element is visible, as a browser does where that crosses the threshold. */
  static shows(target, intersectionRatio) {
    for (const observer of this.all) {
      if (observer.targets.has(target)) observer.report([{ target, intersectionRatio, isIntersecting: intersectionRatio > 0 }]);
    }
  }
}

/** A picture that comes when the test says so. */
export class FakeImage extends FakeElement {
  static all = [];
  complete = false;

  constructor() {
    super("img");
    FakeImage.all.push(this);
  }

  decode() {
    return new Promise(() => undefined);
  }

  arrive() {
    this.complete = true;
    this.onload?.();
  }

  break() {
    this.complete = true;
    this.onerror?.();
  }
}

/** A press of a key as the modules look at it. */
export function aKey(key, more = {}) {
  const digit = /^\d$/.test(key);
  return {
    key, code: digit ? `Digit${key}` : "", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, isComposing: false,
    repeat: false, defaultPrevented: false, composedPath: () => [new FakeElement("div")], preventDefault() {}, stopPropagation() {},
    ...more,
  };
}
