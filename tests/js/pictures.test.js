// The address of a picture says by which rule it looks so.

import assert from "node:assert/strict";
import { test } from "node:test";

import { LOOK, pictureOf, thumbOf } from "../../app/components/common/pictures.js";

test("the small and the large picture of an image", () => {
  assert.equal(thumbOf("/starling/p/pets", 7), `/starling/p/pets/thumb/7?look=${LOOK}`);
  assert.equal(pictureOf("/starling/p/pets", 7), `/starling/p/pets/image/7?look=${LOOK}`);
});
