// The names of queues.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isDoubted, readQueueRef, staysAfterAnswer } from "../../app/components/common/queue_ref.js";

test("names are read, audits with their number", () => {
  assert.deepEqual(readQueueRef("unreviewed"), { kind: "unreviewed", audit: null });
  assert.deepEqual(readQueueRef("audit:12"), { kind: "audit", audit: 12 });
  for (const wrong of ["audit:", "audit:x", "audits", "", "toString"]) assert.equal(readQueueRef(wrong).kind, "unknown");
});

test("what stays after an answer, and what is there because it is doubted", () => {
  const names = [
    "unreviewed", "marked", "labeled", "all", "selection", "doubtful", "issues", "conflicts", "rare", "audit:3",
  ];
  assert.deepEqual(names.filter((name) => staysAfterAnswer(readQueueRef(name))), ["labeled", "all", "selection"]);
  assert.deepEqual(names.filter((name) => isDoubted(readQueueRef(name))), ["issues", "conflicts", "rare"]);
});
