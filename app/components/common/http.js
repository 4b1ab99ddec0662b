// Requests to Starling's routes. What is not an answer of Starling's is an error with words.

// Reads a JSON answer; anything else (a proxy's page, Streamlit's own page) is an error with words.
export async function fetchJson(url, options = {}) {
  const { timeout = 15000, ...init } = options;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  try {
    const response = await fetch(url, { ...init, signal: limit.signal });
    const isJson = (response.headers.get("content-type") || "").includes("json");
    const body = isJson ? await response.json() : null;
    if (!response.ok) {
      throw Object.assign(new Error(errorWords(response.status, body)), { status: response.status, body });
    }
    if (body === null) throw Object.assign(new Error("the answer was not Starling's"), { status: 0 });
    return body;
  } catch (error) {
    if (error.name === "AbortError") throw Object.assign(new Error("the server does not answer"), { status: 0 });
    if (error instanceof TypeError) throw Object.assign(new Error("no connection to Starling"), { status: 0 });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

export function errorWords(status, body) {
  if (body && typeof body.message === "string" && body.message) return body.message;
  if (status === 401 || status === 403) {
    return "this browser is not signed in; open the link that Starling printed when it started";
  }
  if (status === 404) return "this project is not open in Starling any more";
  return `the server answered with error ${status}`;
}

export function postJson(url, body, options = {}) {
  return fetchJson(url, {
    ...options, method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
}
