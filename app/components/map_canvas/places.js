// Images of the map by their ids.

/** @import { Points } from "./types.d.ts" */

/** @type {WeakMap<Points, Map<number, number>>} */
const placesByPoints = new WeakMap();

/** @type {WeakMap<number[], string>} the words for the order of a selection that came in an order of its own */
export const selectionOrders = new WeakMap();

/**
 * Index of each image id; made once for each set of points.
 * @param {Points} points
 */
export function placesOf(points) {
  const places = placesByPoints.get(points) ?? new Map(Array.from(points.ids, (id, i) => [id, i]));
  placesByPoints.set(points, places);
  return places;
}

/**
 * Indices of the images of these ids, in their order; those that are not on the map are left out.
 * @param {Points} points
 * @param {number[]} ids
 */
export function placesFor(points, ids) {
  if (!ids.length) return [];
  const places = placesOf(points);
  return ids.map((id) => places.get(id)).filter((i) => i !== undefined);
}

/**
 * @param {number[]} indices
 * @param {string} words for their order
 */
export function inOrder(indices, words) {
  selectionOrders.set(indices, words);
  return indices;
}
