/** Requests to one server, which are tried again without being done twice. */

import { ServerUnreachable, StreamForgeError, TooManyRequests, refusal } from "./errors.js";
import { Patience } from "./patience.js";

/**
 * @typedef {object} ClientOptions
 * @property {string | (() => string | Promise<string>)} [apiKey] An API key or an access token; asked for before each request
 *   if it is a function. A page that has signed in has a session, and needs none.
 * @property {number} [retrySeconds] For how long a request is tried again that failed of a broken connection or of 429, 502, 503
 *   or 504; 0: never. (20)
 * @property {number} [giveUpSeconds] For how long `watch` and `upload` go on trying to reach a server that does not answer. (60)
 * @property {typeof globalThis.fetch} [fetch] In the place of the global one.
 * @property {typeof globalThis.WebSocket} [WebSocket] In the place of the global one; Node has one from version 22 on.
 */

/**
 * @typedef {object} Asked
 * @property {Record<string, unknown>} [query] Those that are null or undefined are left out.
 * @property {unknown} [json]
 * @property {() => BodyInit} [body] Made anew for each try.
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

export class Transport {
  #options;
  #fetch;

  /**
   * @param {string} url
   * @param {ClientOptions} options
   */
  constructor(url, options) {
    this.url = url.replace(/\/+$/, "");
    this.#options = options;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  get giveUpSeconds() {
    return this.#options.giveUpSeconds ?? 60;
  }

  get WebSocket() {
    return this.#options.WebSocket ?? globalThis.WebSocket;
  }

  get hasKey() {
    return this.#options.apiKey !== undefined;
  }

  /** @returns {Promise<Record<string, string>>} */
  async credentials() {
    const { apiKey } = this.#options;
    if (apiKey === undefined) return {};
    return { Authorization: `Bearer ${typeof apiKey === "function" ? await apiKey() : apiKey}` };
  }

  /**
   * The answer to a request. What it changes is changed once, however often it has to be sent: each POST names itself.
   *
   * @param {string} method
   * @param {string} path
   * @param {Asked} [asked]
   * @returns {Promise<Response>}
   */
  async ask(method, path, asked = {}) {
    /** @type {Record<string, string>} */
    const named = method === "POST" ? { "Idempotency-Key": uuid() } : {};
    const once = { ...asked, headers: { ...named, ...asked.headers } };
    const patience = new Patience(this.#options.retrySeconds ?? 20);
    for (;;) {
      try {
        return await this.once(method, path, once);
      } catch (error) {
        if (patience.isOver || !(error instanceof StreamForgeError) || !error.mayPass) throw error;
        if (error instanceof TooManyRequests) patience.hint(error.retryAfter);
        await patience.wait(asked.signal);
      }
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Asked} [asked]
   * @returns {Promise<Response>}
   */
  async once(method, path, asked = {}) {
    const response = await this.answer(method, path, asked);
    if (!response.ok) throw refusal(response.status, await response.text(), (name) => response.headers.get(name));
    return response;
  }

  /**
   * Whatever it says.
   *
   * @param {string} method
   * @param {string} path
   * @param {Asked} [asked]
   * @returns {Promise<Response>}
   */
  async answer(method, path, { query, json, body, headers, signal } = {}) {
    /** @type {Record<string, string>} */
    const type = json === undefined ? {} : { "Content-Type": "application/json" };
    const sent = { ...type, ...(await this.credentials()), ...headers };
    try {
      return await this.#fetch(this.url + path + queryOf(query), {
        method,
        headers: sent,
        body: json === undefined ? body?.() : JSON.stringify(json),
        // The key is for this server.
        redirect: "error",
        signal,
      });
    } catch (error) {
      throw signal?.aborted ? signal.reason : new ServerUnreachable(this.url, error);
    }
  }
}

/** @param {Record<string, unknown>} [values] */
export function queryOf(values = {}) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

/** `crypto.randomUUID` is there only in pages that came over TLS or from this machine. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
