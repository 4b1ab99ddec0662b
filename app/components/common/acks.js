// What the ledger's answers mean.

/** @import { Ack } from "./wire.d.ts" */

/**
 * Whether the decision is in the ledger, by this request or by an earlier one.
 * @param {Ack} ack
 */
export function isRecorded({ status }) {
  return status === "saved" || status === "duplicate";
}
