// Requests to Starling's routes. What is not an answer of Starling's (a proxy's page, Streamlit's own) is an error with
// words.

const PATIENCE = 15000; // ms

/** An answer that is none: `status` 0 where nothing of Starling's came back; `body`: its JSON, where it had some. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {unknown} body
   */
  constructor(message, status = 0, body = null) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/**
 * Returns the JSON of an answer; its type is what the route is known to send.
 * @param {string} url
 * @param {RequestInit & { timeout?: number }} options timeout: ms until it is given up
 * @returns {Promise<unknown>}
 */
export async function fetchJson(url, options = {}) {
  const { timeout = PATIENCE, ...init } = options;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  try {
    const response = await fetchAnswer(url, { ...init, signal: limit.signal }, (type) => type.includes("json"));
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw new RequestError("the server does not answer");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {string} url
 * @param {unknown} body
 * @param {RequestInit & { timeout?: number }} options
 */
export function postJson(url, body, options = {}) {
  return postText(url, JSON.stringify(body), options);
}

/**
 * @param {string} url
 * @param {string} body JSON
 * @param {RequestInit & { timeout?: number }} options
 */
export function postText(url, body, options = {}) {
  return fetchJson(url, { ...options, method: "POST", headers: { "Content-Type": "application/json" }, body });
}

/**
 * Returns an answer of the right kind; throws the words of any other.
 * @param {string} url
 * @param {RequestInit} init
 * @param {(type: string) => boolean} isRight says it of a content type
 */
export async function fetchAnswer(url, init, isRight) {
  let response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new RequestError("no connection to Starling");
  }
  const type = response.headers.get("content-type") || "";
  if (response.ok && isRight(type)) return response;
  const body = type.includes("json") ? await response.json() : null;
  const words = response.ok ? "the answer was not Starling's" : errorWords(response.status, body);
  throw new RequestError(words, response.ok ? 0 : response.status, body);
}

/**
 * @param {number} status
 * @param {unknown} body JSON of the answer, null without any
 */
export function errorWords(status, body) {
  const message = messageIn(body);
  if (message) return message;
  if (status === 401 || status === 403) {
    return "this browser is not signed in; open the link that Starling printed when it started";
  }
  if (status === 404) return "this project is not open in Starling any more";
  return `the server answered with error ${status}`;
}

/** @param {unknown} body */
function messageIn(body) {
  return body !== null && typeof body === "object" && "message" in body && typeof body.message === "string" ? body.message : "";
}

/** @param {unknown} error what was thrown */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {unknown} error what was thrown */
export function statusOf(error) {
  return error instanceof RequestError ? error.status : 0;
}

/** @param {unknown} error what was thrown */
export function isAbort(error) {
  return error instanceof Error && error.name === "AbortError";
}
