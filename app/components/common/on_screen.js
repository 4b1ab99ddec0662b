// How long pictures were on the screen: the picture there, at least half of it visible, the page in the foreground, and
// nothing laid over it. A picture that only lay beyond the fold was never on the screen.

const LEAST_VISIBLE = 0.5; // share of a picture
const LEAST_SECONDS = 0.01; // of what was on the screen at all

/** @typedef {ReturnType<typeof createOnScreen>} OnScreen */

/** Measures the pictures that it is given, by image id; `onShown` is told when some come on the screen. */
export function createOnScreen(onShown = () => {}) {
  /** @type {Map<Element, number>} image ids of what is watched */
  const ids = new Map();
  /** @type {Set<Element>} those at least half visible */
  const visible = new Set();
  /** @type {Map<number, number>} ms by image id; an image that was on the screen has an entry */
  const shownFor = new Map();
  /** @type {Element | null} */
  let front = null;
  let since = performance.now(); // all that counts has been counted up to here
  let foreground = document.visibilityState === "visible";
  const observer = new IntersectionObserver(onCrossing, { threshold: LEAST_VISIBLE });
  document.addEventListener("visibilitychange", onForeground);

  // Counts the time since the last call for all that is on the screen. Called before anything changes.
  function settle() {
    const now = performance.now();
    if (foreground) {
      for (const element of visible) {
        const id = ids.get(element);
        if (id !== undefined && (front === null || front.contains(element))) shownFor.set(id, (shownFor.get(id) ?? 0) + now - since);
      }
    }
    since = now;
  }

  /** @param {IntersectionObserverEntry[]} entries */
  function onCrossing(entries) {
    settle();
    const before = shownFor.size;
    for (const { target, isIntersecting, intersectionRatio } of entries) {
      if (ids.has(target) && isIntersecting && intersectionRatio >= LEAST_VISIBLE) visible.add(target);
      else visible.delete(target);
    }
    settle();
    if (shownFor.size > before) onShown();
  }

  function onForeground() {
    settle();
    foreground = document.visibilityState === "visible";
    settle();
  }

  /** @param {Element} element */
  function unwatch(element) {
    if (!ids.has(element)) return;
    settle();
    observer.unobserve(element);
    ids.delete(element);
    visible.delete(element);
  }

  return {
    unwatch,
    /**
     * Measures an element from now on, whose picture has come.
     * @param {Element} element
     * @param {number} id of its image
     */
    watch(element, id) {
      unwatch(element);
      ids.set(element, id);
      observer.observe(element);
    },
    /**
     * While something lies over the others, only what is inside it counts.
     * @param {Element | null} element null: nothing does
     */
    setFront(element) {
      settle();
      front = element;
      settle();
    },
    // Forgets what was on the screen. What is on it now counts from now on.
    clear() {
      shownFor.clear();
      since = performance.now();
      settle();
    },
    /** The seconds of any image until now, to a hundredth; 0 for one that never was on the screen. */
    measured() {
      settle();
      return (/** @type {number} */ id) => {
        const ms = shownFor.get(id);
        return ms === undefined ? 0 : Math.max(LEAST_SECONDS, Math.round(ms / 10) / 100);
      };
    },
    stop() {
      observer.disconnect();
      document.removeEventListener("visibilitychange", onForeground);
      visible.clear();
      ids.clear();
    },
  };
}
