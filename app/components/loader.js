// All that Streamlit is given as a component's script: it fetches the component's modules and passes every call on.
// mount.py adds the line that says which modules.

const FAILED = "This part of the page could not be loaded. Reload the page; if that does not help, see whether Starling "
  + "still runs.";

/**
 * @typedef {{ parentElement: HTMLElement }} Given
 * @typedef {(given: Given) => () => void} Component
 * @typedef {{ given: Given, component: Component | null, cleanup: (() => void) | null, gone: boolean }} Mount
 */

/**
 * @param {string} entry address of the module whose default export is the component
 * @param {string[]} ahead addresses of all that it imports, fetched at once instead of one level after another
 * @returns {Component}
 */
export function componentAt(entry, ahead) {
  /** @type {WeakMap<HTMLElement, Mount>} with the arguments that came last */
  const mounts = new WeakMap();
  /** @type {Promise<{ default: Component }> | null} */
  let modules = null;

  function load() {
    for (const path of ahead) {
      const link = document.createElement("link");
      link.rel = "modulepreload";
      link.href = path;
      document.head.append(link);
    }
    return import(new URL(entry, location.origin).href);
  }

  /** @param {Mount} mount */
  async function open(mount) {
    try {
      modules ??= load();
      const { default: component } = await modules;
      if (!mount.gone) mount.component = component;
    } catch (error) {
      modules = null; // the next mount tries again
      if (!mount.gone) fail(mount);
      console.error("Starling: a component's modules could not be loaded", error);
    }
    if (mount.component) mount.cleanup = mount.component(mount.given);
  }

  /** @param {Mount} mount */
  function fail(mount) {
    const words = document.createElement("p");
    words.setAttribute("role", "alert");
    words.dataset.testid = "component-not-loaded";
    words.textContent = FAILED;
    mount.given.parentElement.append(words);
    mount.cleanup = () => words.remove();
  }

  // Streamlit calls this on every data change, and the function it returns when the component leaves the page: both may
  // come while the modules are on their way.
  return (given) => {
    const { parentElement } = given;
    const mount = mounts.get(parentElement) ?? { given, component: null, cleanup: null, gone: false };
    mount.given = given;
    if (mount.component) mount.cleanup = mount.component(given);
    if (!mounts.has(parentElement)) {
      mounts.set(parentElement, mount);
      open(mount);
    }
    return () => {
      mount.gone = true;
      mounts.delete(parentElement);
      mount.cleanup?.();
    };
  };
}
