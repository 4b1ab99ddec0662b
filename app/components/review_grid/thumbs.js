// Loads small pictures, a few at a time: those on the screen first, then those ahead.

import { thumbOf } from "../common/pictures.js";
import { markPixels } from "../common/pixels.js";

const GRID_AT_ONCE = 5; // leaves a connection of the browser's six free for answers

/**
 * @param {string} base
 * @param {(image: HTMLImageElement, id: number) => void} onShown a picture that was wanted has come
 */
export function createGridThumbs(base, onShown) {
  /** @type {{ image: HTMLImageElement, id: number }[]} images on the screen whose picture has not come */
  let wanted = [];
  /** @type {number[]} */
  let ahead = []; // ids
  /** @type {Set<HTMLImageElement>} */
  const flying = new Set();
  /** @type {Set<number>} */
  const known = new Set(); // ids whose picture the browser has

  function pump() {
    while (flying.size < GRID_AT_ONCE) {
      const next = wanted.shift();
      if (next) {
        if (next.image.isConnected) fetchInto(next.image, next.id);
      } else if (ahead.length && flying.size < 2) {
        const [id] = ahead.splice(0, 1);
        if (!known.has(id)) fetchInto(new Image(), id);
      } else {
        break;
      }
    }
  }

  /**
   * @param {HTMLImageElement} image
   * @param {number} id
   */
  function fetchInto(image, id) {
    flying.add(image);
    image.onload = () => {
      known.add(id);
      markPixels(image);
      image.dataset.state = "ready";
      if (image.isConnected) onShown(image, id);
      over(image);
    };
    image.onerror = () => {
      image.dataset.state = "failed";
      over(image);
    };
    image.src = thumbOf(base, id);
  }

  /** @param {HTMLImageElement} image */
  function over(image) {
    if (flying.delete(image)) pump();
  }

  return {
    /**
     * The picture is fetched after those asked for before it, soon. One the browser has is shown at once.
     * @param {HTMLImageElement} image
     * @param {number} id
     */
    want(image, id) {
      if (known.has(id)) fetchInto(image, id);
      else wanted.push({ image, id });
    },
    /** @param {HTMLImageElement} image */
    drop(image) {
      wanted = wanted.filter((one) => one.image !== image);
      if (flying.has(image)) {
        image.onload = image.onerror = null;
        image.removeAttribute("src");
        over(image);
      }
    },
    /** @param {number[]} ids */
    lookAhead(ids) {
      ahead = ids.filter((id) => !known.has(id));
      pump();
    },
    pump,
    stop() {
      wanted = [];
      ahead = [];
    },
  };
}
