// Where the pictures of an image are: a browser keeps them for ever, so the address says by which rule they look so.

export const LOOK = "2"; // as VERSION in engine/images/thumbnails.py

/**
 * The small picture of an image.
 * @param {string | undefined} base start of the project's routes
 * @param {number} id
 */
export function thumbOf(base, id) {
  return `${base}/thumb/${id}?look=${LOOK}`;
}

/**
 * The large picture of an image.
 * @param {string | undefined} base start of the project's routes
 * @param {number} id
 */
export function pictureOf(base, id) {
  return `${base}/image/${id}?look=${LOOK}`;
}
