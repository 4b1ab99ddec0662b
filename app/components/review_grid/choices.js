// What the person chose for the grid, kept in this browser.

export const GRID_PAGES = [100, 200, 500]; // images on a page
/** @type {[string, number][]} */
export const GRID_SIZES = [["S", 64], ["M", 104], ["L", 168]];

/**
 * `size`: a place in GRID_SIZES; `sort`: key of an order.
 * @typedef {{ size: number, pageSize: number, sort: string }} Chosen
 * @typedef {ReturnType<typeof gridChoices>} GridChoices
 */

/** @param {string} base */
export function gridChoices(base) {
  const key = `starling.grid|${base}`;
  /** @type {Chosen} */
  let chosen = { size: 1, pageSize: 200, sort: "" };
  try {
    chosen = { ...chosen, .../** @type {Partial<Chosen>} */ (JSON.parse(localStorage.getItem(key) || "{}")) };
  } catch (error) {
    console.warn("Starling: this browser keeps no local data", error);
  }
  if (!GRID_SIZES[chosen.size]) chosen.size = 1;
  if (!GRID_PAGES.includes(chosen.pageSize)) chosen.pageSize = 200;
  return {
    get: () => chosen,
    /** @param {Partial<Chosen>} change */
    set(change) {
      chosen = { ...chosen, ...change };
      try {
        localStorage.setItem(key, JSON.stringify(chosen));
      } catch (error) {
        console.warn("Starling: this browser keeps no local data", error);
      }
    },
  };
}
