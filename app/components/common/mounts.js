// Streamlit calls a component on every data change and its cleanup only at the end: everything with a lifetime is made
// once for each parent element.

// mount(parentElement, given) returns {update(given), remove()}. given: {data, setTriggerValue, …}, always the latest.
export function mountedOnce(mount) {
  const mounts = new WeakMap();
  return (given) => {
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
