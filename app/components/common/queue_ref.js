// Which images a queue holds, as the pages and routes write it: "unreviewed", "marked", "labeled", "all", "selection",
// "measured", "doubtful", "issues", "conflicts", "rare", or "audit:3", "audit:3:class:cat", "audit:3:source:human", "audit:3:open".

/**
 * @typedef {"unreviewed" | "marked" | "labeled" | "all" | "selection" | "measured" | "doubtful" | "issues" | "conflicts" |
 *   "rare"} QueueKind
 */
/** @typedef {{ kind: QueueKind | "unknown", audit: null } | { kind: "audit", audit: number }} QueueRef */

/** @type {readonly string[]} */
const KINDS = ["unreviewed", "marked", "labeled", "all", "selection", "measured", "doubtful", "issues", "conflicts", "rare"];
const STAYING = ["all", "selection", "labeled"];

/**
 * Of what is no queue the server says so itself.
 * @param {string} text
 * @returns {QueueRef}
 */
export function readQueueRef(text) {
  const audit = /^audit:(\d+)(?::(?:open|(?:class|source):.+))?$/.exec(text);
  if (audit) return { kind: "audit", audit: Number(audit[1]) };
  return { kind: isKind(text) ? text : "unknown", audit: null };
}

/**
 * @param {string} text
 * @returns {text is QueueKind}
 */
function isKind(text) {
  return KINDS.includes(text);
}

/**
 * Whether an image stays in the queue after an answer.
 * @param {QueueRef} ref
 */
export function staysAfterAnswer({ kind }) {
  return STAYING.includes(kind);
}

/**
 * Whether each image is there because something about it is doubted.
 * @param {QueueRef} ref
 */
export function isDoubted({ kind }) {
  return kind === "issues" || kind === "conflicts" || kind === "rare";
}
