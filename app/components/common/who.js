// Under which name this browser's decisions are recorded. It lives in a cookie, and is stamped onto a decision when the
// key is pressed: what waits in the browser is recorded under the name that was set then.

export const WHO_COOKIE = "starling_who"; // app/routes/review.py reads it
export const WHO_NONE = "local";
const WHO_SECONDS = 365 * 24 * 3600;

/** @returns {string} the name as it was set, "" without one */
export function givenName() {
  const cookies = globalThis.document?.cookie ?? "";
  const pair = cookies.split("; ").find((one) => one.startsWith(`${WHO_COOKIE}=`));
  try {
    return pair ? decodeURIComponent(pair.slice(WHO_COOKIE.length + 1)) : "";
  } catch {
    return ""; // written by something else
  }
}

/** @returns {string} who decides now */
export const whoNow = () => givenName().trim() || WHO_NONE;

/** @param {string} name "" takes it away */
export function keepName(name) {
  const age = name && name !== WHO_NONE ? WHO_SECONDS : 0;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${WHO_COOKIE}=${encodeURIComponent(name)}; path=/; max-age=${age}; SameSite=Strict${secure}`;
}
