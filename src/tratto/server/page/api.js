/** What the page asks of the server. */

const BASE = "api/v1";

/** An answer that is an error: a sentence for people, and the option it is about. */
export class ApiError extends Error {
  constructor(status, { kind = "", message = "", option = null } = {}) {
    super(message || `The server answered ${status}.`);
    this.status = status;
    this.kind = kind;
    this.option = option;
  }
}

/** Return an address below the API. */
export const at = (path) => `${BASE}${path}`;

/**
 * Ask, and return what the answer holds.
 *
 * @param {string} method
 * @param {string} path
 * @param {Object} [body] sent as JSON; a FormData as it is
 * @param {Object} [headers]
 */
export async function ask(method, path, body, headers = {}) {
  const form = body instanceof FormData;
  let answer;
  try {
    answer = await fetch(at(path), {
      method,
      headers: { ...(method === "GET" ? {} : { "X-Tratto-Page": "1" }), ...(body && !form ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body && !form ? JSON.stringify(body) : body,
    });
  } catch {
    throw new ApiError(0, { kind: "Unreachable", message: "The server cannot be reached. Is tratto serve still running?" });
  }
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const held = answer.status === 204 ? null : isJson ? await answer.json() : await answer.blob();
  if (!answer.ok) throw new ApiError(answer.status, isJson ? held?.error : undefined);
  return held;
}

export const get = (path) => ask("GET", path);
export const post = (path, body, headers) => ask("POST", path, body, headers);
export const remove = (path) => ask("DELETE", path);

/** Send a file; `tell` hears the share that is sent. Progress of what is sent is known to XMLHttpRequest alone. */
export function send(path, file, name, tell = () => {}) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file, name);
    const request = new XMLHttpRequest();
    request.open("POST", at(path));
    request.setRequestHeader("X-Tratto-Page", "1");
    request.responseType = "json";
    request.upload.onprogress = (e) => e.lengthComputable && tell(e.loaded / e.total);
    request.onload = () => (request.status < 300 ? resolve(request.response) : reject(new ApiError(request.status, request.response?.error)));
    request.onerror = () => reject(new ApiError(0, { message: "The file could not be sent. Is tratto serve still running?" }));
    request.send(form);
  });
}

/** The jobs as they are known, kept up to date by the server's events. */
class Jobs extends EventTarget {
  constructor() {
    super();
    this.known = new Map();
    this.stream = null;
  }

  /** Take over what is said of a job, whole or in short, and tell who listens. */
  put(job) {
    const whole = { ...this.known.get(job.id), ...job };
    this.known.set(job.id, whole);
    this.dispatchEvent(new CustomEvent("job", { detail: whole }));
    return whole;
  }

  drop(id) {
    this.known.delete(id);
    this.dispatchEvent(new CustomEvent("gone", { detail: { id } }));
  }

  /** All that are known, the newest first. */
  list() { return [...this.known.values()].sort((a, b) => b.created - a.created); }

  /** Listen to the server. The browser reconnects by itself and says what it heard last. */
  listen() {
    if (this.stream) return;
    this.stream = new EventSource(at("/events"));
    this.stream.addEventListener("job", (e) => this.put(JSON.parse(e.data)));
    this.stream.addEventListener("gone", (e) => this.drop(JSON.parse(e.data).id));
    // the browser reconnects by itself, but gives up where the server was away and answered otherwise
    this.stream.onerror = () => {
      if (this.stream?.readyState !== EventSource.CLOSED) return;
      this.stream = null;
      setTimeout(() => { this.listen(); this.load().catch(() => {}); }, 5000);
    };
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }

  async load(path = "/jobs?limit=100") {
    const { jobs, next } = await get(path);
    for (const job of jobs) this.put(job);
    return next;
  }

  /** Return a job with everything that is known of it. */
  async whole(id) { return this.put(await get(`/jobs/${id}`)); }

  /** Start one. The same key sent twice, after a lost answer, starts it once. */
  async start(task, inputs, options) {
    const body = { task, inputs, options };
    const key = { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()).slice(2) };
    try {
      return this.put(await post("/jobs", body, key));
    } catch (error) {
      if (error.status !== 0) throw error;
      return this.put(await post("/jobs", body, key));
    }
  }

  async act(id, what) { return this.put(await post(`/jobs/${id}/${what}`)); }

  async remove(id) {
    await remove(`/jobs/${id}`);
    this.drop(id);
  }

  /** Wait until a job has ended; returns it. */
  async ended(id) {
    for (;;) {
      const job = this.known.get(id);
      if (job && isOver(job)) return this.whole(id);
      await new Promise((resolve) => {
        const done = () => { clearTimeout(late); this.removeEventListener("job", heard); resolve(); };
        const heard = (e) => e.detail.id === id && isOver(e.detail) && done();
        this.addEventListener("job", heard);
        // events may be held up between here and there
        const late = setTimeout(() => this.whole(id).then(done, done), 5000);
      });
    }
  }
}

export const isOver = (job) => ["done", "failed", "cancelled"].includes(job.state);
export const jobs = new Jobs();

/** How long something takes, in words that claim no more than is known. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "time left not known yet";
  if (seconds < 10) return "a few seconds left";
  if (seconds < 90) return `about ${Math.ceil(seconds / 10) * 10} seconds left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} minutes left`;
  return `about ${(seconds / 3600).toFixed(1)} hours left`;
}

/** A time as the reader's language writes it. */
export const when = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "");
