/** Event streams that go on where they broke off: none of their events is lost, and none comes twice. */

import { RequestRefused, ServerUnreachable, TooManyRequests } from "./errors.js";
import { Patience } from "./patience.js";
import { queryOf } from "./transport.js";

/** @import {StreamEvent, WatchOptions, WhichJobs} from "./answers.js" */
/** @import {Transport} from "./transport.js" */

/** The server comments at least every 30 s on an idle stream; one that is silent for longer is dead. */
const SILENCE_SECONDS = 60;
const NO_CONTENT = 204;
const NORMAL_CLOSURE = 1000;
const ABNORMAL_CLOSURE = 1006;

/** One of the connections that a stream is watched by, one after the other. */
class Connection {
  wasOpen = false;
  nothingIsLeft = false;
  /** @type {number | null} */
  retrySeconds = null;
}

/** @typedef {(lastEventId: string | undefined, connection: Connection, signal?: AbortSignal) => AsyncGenerator<StreamEvent>} Open */

/**
 * @param {Transport} transport
 * @param {Open} open
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<StreamEvent, void, undefined>}
 */
export async function* watched(transport, open, { lastEventId, signal }) {
  const patience = new Patience(transport.giveUpSeconds);
  for (;;) {
    const connection = new Connection();
    try {
      for await (const event of open(lastEventId, connection, signal)) {
        lastEventId = event.id ?? lastEventId;
        yield event;
        if (event.event === "done") return;
      }
      if (connection.nothingIsLeft) return;
      patience.renew();
    } catch (error) {
      // It was quiet, perhaps for hours, and there until now.
      if (connection.wasOpen) patience.renew();
      if (patience.isOver || !isWorthComingBack(error)) throw error;
      if (error instanceof TooManyRequests) patience.hint(error.retryAfter);
    }
    if (connection.retrySeconds !== null) patience.hint(connection.retrySeconds);
    await patience.wait(signal);
  }
}

/** @param {unknown} error */
function isWorthComingBack(error) {
  if (error instanceof RequestRefused) return error.status >= 500 || error instanceof TooManyRequests;
  return error instanceof ServerUnreachable;
}

/**
 * By server-sent events.
 *
 * @param {Transport} transport
 * @param {string} path
 * @returns {Open}
 */
export function byEvents(transport, path) {
  return async function* (lastEventId, connection, signal) {
    const silence = new AbortController();
    const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
    /** @type {Record<string, string>} */
    const headers = lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId };
    let timer = setTimeout(() => silence.abort(), SILENCE_SECONDS * 1000);
    try {
      const response = await transport.once("GET", path, { headers, signal: either });
      if (response.status === NO_CONTENT || response.body === null) {
        connection.nothingIsLeft = true;
        return;
      }
      connection.wasOpen = true;
      const frames = new Frames();
      for await (const text of textOf(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_SECONDS * 1000);
        for (const frame of frames.in(text)) {
          if (frame.retry !== undefined) connection.retrySeconds = Number(frame.retry) / 1000;
          if (frame.data) yield { ...JSON.parse(frame.data), event: frame.event ?? "message", id: frame.id || null };
        }
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw error instanceof RequestRefused ? error : new ServerUnreachable(transport.url, error);
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  };
}

/**
 * Not every browser's streams can be iterated over.
 *
 * @param {ReadableStream<Uint8Array>} body
 */
async function* textOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

/** As the WHATWG has event streams, whose lines may be cut anywhere. A frame that is not complete is none. */
class Frames {
  #rest = "";
  /** @type {Record<string, string>} */
  #fields = {};

  /**
   * @param {string} text
   * @returns {Generator<Record<string, string>>}
   */
  *in(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines.map((each) => each.replace(/\r$/, ""))) {
      if (line === "") {
        yield this.#fields;
        this.#fields = {};
      } else if (!line.startsWith(":")) {
        const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        this.#fields[name] = name === "data" && this.#fields.data !== undefined ? `${this.#fields.data}\n${value}` : value;
      }
    }
  }
}

/**
 * By a WebSocket. It cannot show a key, but a ticket.
 *
 * @param {Transport} transport
 * @param {WhichJobs} which
 * @returns {Open}
 */
export function byWebSocket(transport, which) {
  return async function* (lastEventId, connection, signal) {
    const { jobId, batchId, owner } = which;
    const query = queryOf({ job_id: jobId, batch_id: batchId, owner, last_event_id: lastEventId });
    let address = `/ws/progress${query}`;
    if (transport.hasKey) {
      const ticket = await transport.once("POST", "/tickets", { json: { path: address }, signal });
      address = (await ticket.json()).url;
    }
    const socket = new transport.WebSocket(`${transport.url.replace(/^http/, "ws")}${address}`);
    const told = messagesOf(socket, signal);
    for await (const text of told) {
      connection.wasOpen = true;
      const { id, event, data } = JSON.parse(text);
      yield { ...data, event, id: id === null ? null : String(id) };
    }
    if (signal?.aborted) throw signal.reason;
    const { code } = await told.closed;
    connection.nothingIsLeft = code === NORMAL_CLOSURE;
    if (!connection.wasOpen && !connection.nothingIsLeft) {
      // A page is not told why it was refused: the same asked otherwise says so.
      if (jobId !== undefined) await transport.once("GET", `/jobs/${jobId}`, { signal });
      if (batchId !== undefined) await transport.once("GET", `/batches/${batchId}`, { signal });
      throw new ServerUnreachable(transport.url);
    }
  };
}

/**
 * @param {WebSocket} socket
 * @param {AbortSignal} [signal]
 */
function messagesOf(socket, signal) {
  /** @type {string[]} */
  const waiting = [];
  let isClosed = false;
  let wake = () => {};
  const abort = () => socket.close();
  signal?.addEventListener("abort", abort, { once: true });
  /** @type {Promise<{code: number}>} */
  const closed = new Promise((resolve) => {
    const end = (/** @type {{code?: number}} */ { code = ABNORMAL_CLOSURE }) => {
      isClosed = true;
      wake();
      resolve({ code });
    };
    socket.onclose = end;
    // Node 20 says of a connection that was reset only that.
    socket.onerror = () => end({});
  });
  socket.onmessage = (event) => {
    waiting.push(event.data);
    wake();
  };
  async function* messages() {
    try {
      for (;;) {
        while (waiting.length) yield /** @type {string} */ (waiting.shift());
        if (isClosed) return;
        await new Promise((resolve) => (wake = () => resolve(undefined)));
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      socket.close();
    }
  }
  return Object.assign(messages(), { closed });
}
