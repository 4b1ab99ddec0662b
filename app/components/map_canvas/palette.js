// Class colours: distinct for the common kinds of colour blindness among the first ten, and of a middle lightness that
// reads on white and on near-black. With more than twenty classes the rarest share one grey, named "other".

export const CLASS_COLOURS = [
  "#2f7ed8", "#e8772e", "#12a084", "#d6406b", "#9467dd", "#b8930b", "#41b4e6", "#8f5b3a", "#e58fc4", "#6f9e2a",
  "#5a64c8", "#f0a95b", "#0f8a55", "#b0308a", "#7ccaa6", "#c86a5e", "#7289a8", "#b79ad6", "#3f8f95", "#a5a930",
];
export const OTHER_COLOUR = "#8b9099";
export const SAME_COLOUR = "#8b9099";
export const DIFFERS_COLOUR = "#e0457b";
export const RAMP_COLOURS = [
  "#c8491f", "#dc6b2f", "#e98f4a", "#dcae7a", "#b9b3a6", "#8fb0c4", "#629fce", "#3b86cc", "#2568b4",
]; // confidence from low to high
export const RAMP_LIMITS = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99];

/**
 * Gives each class a slot of CLASS_COLOURS; -1 is "other". Counts decide who gets one when there are too many.
 * @param {string[]} classes
 * @param {number[]} counts
 */
export function assignSlots(classes, counts) {
  const slots = new Int16Array(classes.length).fill(-1);
  if (classes.length <= CLASS_COLOURS.length) return slots.map((_, k) => k);
  const byCount = classes.map((_, k) => k).sort((a, b) => counts[b] - counts[a] || a - b);
  byCount.slice(0, CLASS_COLOURS.length).forEach((k, slot) => (slots[k] = slot));
  return slots;
}

/** @param {number} slot */
export function slotColour(slot) {
  return slot >= 0 ? CLASS_COLOURS[slot] : OTHER_COLOUR;
}
