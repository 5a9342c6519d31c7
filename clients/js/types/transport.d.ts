/** @param {Record<string, unknown>} [values] */
export function queryOf(values?: Record<string, unknown>): string;
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
    /**
     * @param {string} url
     * @param {ClientOptions} options
     */
    constructor(url: string, options: ClientOptions);
    url: string;
    get giveUpSeconds(): number;
    get WebSocket(): {
        new (url: string | URL, protocols?: string | string[]): WebSocket;
        prototype: WebSocket;
        readonly CONNECTING: 0;
        readonly OPEN: 1;
        readonly CLOSING: 2;
        readonly CLOSED: 3;
    };
    get hasKey(): boolean;
    /** @returns {Promise<Record<string, string>>} */
    credentials(): Promise<Record<string, string>>;
    /**
     * The answer to a request. What it changes is changed once, however often it has to be sent: each POST names itself.
     *
     * @param {string} method
     * @param {string} path
     * @param {Asked} [asked]
     * @returns {Promise<Response>}
     */
    ask(method: string, path: string, asked?: Asked): Promise<Response>;
    /**
     * @param {string} method
     * @param {string} path
     * @param {Asked} [asked]
     * @returns {Promise<Response>}
     */
    once(method: string, path: string, asked?: Asked): Promise<Response>;
    /**
     * Whatever it says.
     *
     * @param {string} method
     * @param {string} path
     * @param {Asked} [asked]
     * @returns {Promise<Response>}
     */
    answer(method: string, path: string, { query, json, body, headers, signal }?: Asked): Promise<Response>;
    #private;
}
export type ClientOptions = {
    /**
     * An API key or an access token; asked for before each request
     * if it is a function. A page that has signed in has a session, and needs none.
     */
    apiKey?: string | (() => string | Promise<string>) | undefined;
    /**
     * For how long a request is tried again that failed of a broken connection or of 429, 502, 503
     * or 504; 0: never. (20)
     */
    retrySeconds?: number | undefined;
    /**
     * For how long `watch` and `upload` go on trying to reach a server that does not answer. (60)
     */
    giveUpSeconds?: number | undefined;
    /**
     * In the place of the global one.
     */
    fetch?: typeof fetch | undefined;
    /**
     * In the place of the global one; Node has one from version 22 on.
     */
    WebSocket?: {
        new (url: string | URL, protocols?: string | string[]): WebSocket;
        prototype: WebSocket;
        readonly CONNECTING: 0;
        readonly OPEN: 1;
        readonly CLOSING: 2;
        readonly CLOSED: 3;
    } | undefined;
};
export type Asked = {
    /**
     * Those that are null or undefined are left out.
     */
    query?: Record<string, unknown> | undefined;
    json?: unknown;
    /**
     * Made anew for each try.
     */
    body?: (() => BodyInit) | undefined;
    headers?: Record<string, string> | undefined;
    signal?: AbortSignal | undefined;
};
