// Streamlit calls a component on every data change and its cleanup only at the end: everything with a lifetime is made
// once for each parent element.

/**
 * What Streamlit gives a component, always the latest.
 * @template Data
 * @typedef {{
 *   data: Data,
 *   parentElement: HTMLElement,
 *   setTriggerValue: (name: string, value: unknown) => void,
 * }} Given
 */

/**
 * @template Data
 * @typedef {{ update: (given: Given<Data>) => void, remove: () => void }} Mounted
 */

/**
 * @template Data
 * @param {(parent: HTMLElement, given: Given<Data>) => Mounted<Data>} mount
 */
export function mountedOnce(mount) {
  /** @type {WeakMap<HTMLElement, Mounted<Data>>} */
  const mounts = new WeakMap();
  return (/** @type {Given<Data>} */ given) => {
    const { parentElement } = given;
    const mounted = mounts.get(parentElement);
    if (mounted) mounted.update(given);
    else mounts.set(parentElement, mount(parentElement, given));
    return () => {
      mounts.get(parentElement)?.remove();
      mounts.delete(parentElement);
    };
  };
}
