// What the ledger did not take, in words that stay until they are dismissed.

import { el } from "./dom.js";

const NOTICES_SHOWN = 3;

/** @typedef {{ kind: string, text: string }} Notice */

/**
 * @template {Notice} Kind
 * @param {string} component for the test ids
 * @param {(notice: Kind) => void} onDismiss
 * @param {(notice: Kind) => Node | null} more a button beside the words
 */
export function buildNotices(component, onDismiss, more = () => null) {
  const node = el("div", { class: "notices", "aria-live": "polite", testid: `${component}-notices` });
  /** @type {Kind[]} */
  let shown = [];

  /** @param {Kind[]} notices */
  function paint(notices) {
    const next = notices.slice(-NOTICES_SHOWN);
    if (shown.length === next.length && next.every((one, i) => one === shown[i])) return;
    shown = next;
    node.replaceChildren(...next.map((notice) => el("div",
      { class: "notice", "data-kind": notice.kind, testid: `${component}-notice` },
      el("span", {}, notice.text), more(notice),
      el("button", {
        type: "button", class: "quiet", testid: `${component}-notice-dismiss`, onclick: () => onDismiss(notice),
      }, "Dismiss"))));
  }
  return { node, paint };
}
