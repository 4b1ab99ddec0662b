// Pictures of few pixels are shown with hard ones.

const PIXEL_ART = 128; // images up to this side
const SMALL_PIXEL_ART = 96; // thumbnails up to this side

/** @param {{ width: number, height: number }} size */
export function isPixelArt({ width, height }) {
  return Math.max(width, height) <= PIXEL_ART;
}

/**
 * Marks a thumbnail that has come.
 * @param {HTMLImageElement} image
 */
export function markPixels(image) {
  image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL_PIXEL_ART);
}

/**
 * The same as a listener to "load".
 * @param {Event} event
 */
export function pixelate(event) {
  if (event.target instanceof HTMLImageElement) markPixels(event.target);
}
