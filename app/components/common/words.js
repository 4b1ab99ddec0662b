// Sentences that several components say.

import { count } from "./dom.js";

/** @import { Scale } from "./wire.d.ts" */

const NOT_WRITTEN = 255;
const SPACE = "\u202f";

/**
 * How sure a prediction is, as far as answers have measured it: nothing, a word, tens of percent, or percent.
 * @param {Scale | null | undefined} scale
 * @param {number | null | undefined} step of the image, as the server sends it
 */
export function sureWords(scale, step) {
  if (!scale || step === null || step === undefined || step === NOT_WRITTEN) return "";
  if (scale.tier === "words") return scale.words[step] ?? "";
  if (scale.tier === "tens") return step >= 10 ? `over 95${SPACE}%` : step <= 0 ? `under 5${SPACE}%` : `about ${10 * step}${SPACE}%`;
  if (scale.tier === "percent") return step >= 100 ? `>99${SPACE}%` : step <= 0 ? `<1${SPACE}%` : `${step}${SPACE}%`;
  return "";
}

/**
 * "3 as “7”, 2 as “9” and 4 in 2 more classes", the most frequent classes first.
 * @param {Iterable<string>} names a class for each image
 * @param {number} most classes that are named
 */
export function spreadWords(names, most) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) || 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const words = sorted.slice(0, most).map(([name, n]) => `${count(n)} as “${name}”`);
  const others = sorted.length - most;
  const rest = sorted.slice(most).reduce((sum, [, n]) => sum + n, 0);
  if (rest) words.push(`${count(rest)} in ${count(others)} more ${others === 1 ? "class" : "classes"}`);
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words[0] || "";
}

/**
 * Where decisions stand that the ledger does not have yet: a kind for the style sheet, and words.
 * @param {{ problem: string, kept: boolean }} status of a durable queue
 * @param {string} what is on its way
 * @param {string} saving words while nothing is wrong
 */
export function waitingWords({ problem, kept }, what, saving) {
  if (!problem) return ["saving", saving];
  const where = kept ? "kept in this browser, trying again" : "do not close this tab, trying again";
  return ["offline", `${what} not saved: ${problem} · ${where}`];
}
