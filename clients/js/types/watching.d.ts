/** @typedef {(lastEventId: string | undefined, connection: Connection, signal?: AbortSignal) => AsyncGenerator<StreamEvent>} Open */
/**
 * @param {Transport} transport
 * @param {Open} open
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<StreamEvent, void, undefined>}
 */
export function watched(transport: Transport, open: Open, { lastEventId, signal }: WatchOptions): AsyncGenerator<StreamEvent, void, undefined>;
/**
 * By server-sent events.
 *
 * @param {Transport} transport
 * @param {string} path
 * @returns {Open}
 */
export function byEvents(transport: Transport, path: string): Open;
/**
 * By a WebSocket. It cannot show a key, but a ticket.
 *
 * @param {Transport} transport
 * @param {WhichJobs} which
 * @returns {Open}
 */
export function byWebSocket(transport: Transport, which: WhichJobs): Open;
export type Open = (lastEventId: string | undefined, connection: Connection, signal?: AbortSignal) => AsyncGenerator<StreamEvent>;
import type { Transport } from "./transport.js";
import type { WatchOptions } from "./answers.js";
import type { StreamEvent } from "./answers.js";
import type { WhichJobs } from "./answers.js";
/** One of the connections that a stream is watched by, one after the other. */
declare class Connection {
    wasOpen: boolean;
    nothingIsLeft: boolean;
    /** @type {number | null} */
    retrySeconds: number | null;
}
export {};
