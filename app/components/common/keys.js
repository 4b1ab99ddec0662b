// What a key press means. Digits go by their place on the keyboard, so that they work on every layout and with Shift.

/** @type {[string, string][]} */
export const REVIEW_KEYS = [
  ["1 – 9, 0", "give the class with this key"],
  ["Shift + digit", "classes marked ⇧"],
  ["a or Enter", "accept the prediction or suggestion"],
  ["k", "keep the label in force"],
  ["x", "reject: not usable"],
  ["Space", "skip for now"],
  ["u", "unsure"],
  ["f", "flag for a second look"],
  ["Backspace", "undo the last decision"],
  ["← →", "move without deciding"],
  ["/", "find a class by name"],
  ["h", "show or hide this list"],
];

/**
 * What a key press asks for.
 * @typedef {"accept" | "keep" | "skip" | "reject" | "unsure" | "flag"} Act
 * @typedef {{ kind: "class", index: number } | { kind: "act", action: Act } | { kind: "move", step: number }
 *   | { kind: "undo" | "escape" | "find" | "help" }} Meant
 * @typedef {Meant & { native?: boolean }} Intent native: a control that has the focus takes this key
 */

/** @type {{ [letter: string]: Act }} */
const LETTER_INTENTS = { a: "accept", k: "keep", x: "reject", u: "unsure", f: "flag" };

export const FIND_FROM = 21; // this many classes and more can be found by typing: not all have a key

/**
 * The place among the 20 class keys, null for any other key.
 * @param {KeyboardEvent} event
 */
export function classIndexOf(event) {
  const onRow = /^Digit(\d)$/.exec(event.code);
  const onPad = /^Numpad(\d)$/.exec(event.code);
  const digit = onRow ? Number(onRow[1]) : onPad && /^\d$/.test(event.key) ? Number(onPad[1]) : null;
  if (digit === null) return null;
  return (digit === 0 ? 9 : digit - 1) + (onRow && event.shiftKey ? 10 : 0);
}

/**
 * Returns null when the key means nothing here.
 * @param {KeyboardEvent} event
 * @returns {Intent | null}
 */
export function intentOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const index = classIndexOf(event);
  if (index !== null) return { kind: "class", index };
  if (event.key === "ArrowLeft") return { kind: "move", step: -1 };
  if (event.key === "ArrowRight") return { kind: "move", step: 1 };
  if (event.key === "Escape") return { kind: "escape" };
  if (event.key === "Backspace") return { kind: "undo" };
  if (event.key === "Enter") return { kind: "act", action: "accept", native: true };
  if (event.key === " ") return { kind: "act", action: "skip", native: true };
  if (event.key === "/") return { kind: "find" };
  if (event.key === "?") return { kind: "help" };
  if (event.shiftKey) return null;
  const letter = event.key.toLowerCase();
  if (letter === "h") return { kind: "help" };
  return LETTER_INTENTS[letter] ? { kind: "act", action: LETTER_INTENTS[letter] } : null;
}

/**
 * Which class each of the 20 digit keys gives. A class named by one digit has its own key ("7" gives 7); the others
 * take the keys that are left, in their order.
 * @param {readonly string[]} classes
 */
export function classKeys(classes) {
  /** @type {(string | null)[]} */
  const keys = new Array(20).fill(null);
  const place = (/** @type {string} */ name) => (Number(name) + 9) % 10;
  for (const name of classes) if (/^\d$/.test(name)) keys[place(name)] = name;
  let next = 0;
  for (const name of classes) {
    if (/^\d$/.test(name)) continue;
    while (next < 20 && keys[next] !== null) next += 1;
    if (next < 20) keys[next] = name;
  }
  return keys;
}

/**
 * The classes whose name holds what is typed, those that begin with it first.
 * @param {readonly string[]} names
 * @param {string} typed
 */
export function matchingNames(names, typed) {
  const wanted = typed.trim().toLowerCase();
  const begins = (/** @type {string} */ name) => Number(name.toLowerCase().startsWith(wanted));
  return names.filter((name) => name.toLowerCase().includes(wanted)).sort((a, b) => begins(b) - begins(a));
}

/** @param {number} index place among the class keys, -1 for none */
export function keyCap(index) {
  if (index < 0) return "";
  const digit = String((index + 1) % 10);
  return index < 10 ? digit : `⇧${digit}`;
}
