// A component is mounted once for each place, however often Streamlit calls it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { mountedOnce } from "../../app/components/common/mounts.js";

test("the first call mounts, later ones update, the cleanup removes", () => {
  const told = [];
  const component = mountedOnce((parent, given) => {
    told.push(["mount", given.data]);
    return { update: (next) => told.push(["update", next.data]), remove: () => told.push(["remove"]) };
  });
  const parentElement = {};
  component({ data: 1, parentElement });
  const leave = component({ data: 2, parentElement });
  leave();
  leave();
  component({ data: 3, parentElement });
  assert.deepEqual(told, [["mount", 1], ["update", 2], ["remove"], ["mount", 3]]);
});
