import assert from "node:assert/strict";
import { test } from "node:test";

import { momentText } from "../../app/components/map_canvas/player.js";

test("a trained round's moments are epochs, a live round's the labels that its fits knew", () => {
  assert.equal(momentText({ epochs: [1, 2, 5], labels: [null, null, null] }, 1), "epoch 2 of 5");
  assert.equal(momentText({ epochs: [1, 2], labels: [1, 1_200] }, 0), "after 1 label of 1,200");
  assert.equal(momentText({ epochs: [1, 2], labels: [10, 1_200] }, 1), "after 1,200 labels of 1,200");
});
