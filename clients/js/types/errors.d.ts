/**
 * Of an answer with a 4xx or 5xx; problem+json says why.
 *
 * @param {number} status
 * @param {string} body
 * @param {(name: string) => string | null | undefined} header
 * @returns {RequestRefused}
 */
export function refusal(status: number, body: string, header: (name: string) => string | null | undefined): RequestRefused;
/** Every error of this client; `code` is stable, `message` one sentence a person can act on. */
export class StreamForgeError extends Error {
    /**
     * @param {string} code
     * @param {string} message
     * @param {ErrorOptions} [options]
     */
    constructor(code: string, message: string, options?: ErrorOptions);
    /** @type {string} */
    code: string;
    /** Whether the same request may be answered otherwise in a while. */
    get mayPass(): boolean;
}
export class ServerUnreachable extends StreamForgeError {
    /**
     * @param {string} url
     * @param {unknown} [cause]
     */
    constructor(url: string, cause?: unknown);
}
/** The job that was waited for failed or was cancelled. */
export class JobNotCompleted extends StreamForgeError {
    /** @param {string} message */
    constructor(message: string);
}
/** The server's own answer that something is wrong. `requestId` finds it in the server's log. */
export class RequestRefused extends StreamForgeError {
    /**
     * @param {number} status
     * @param {string} code
     * @param {string} message
     * @param {string | null} requestId
     */
    constructor(status: number, code: string, message: string, requestId: string | null);
    /** @type {number} */
    status: number;
    /** @type {string | null} */
    requestId: string | null;
}
/** 400, 413, 415, 422: another request is needed. */
export class InvalidRequest extends RequestRefused {
}
/** 401: no key, or one that is not good any more. */
export class NotAuthenticated extends RequestRefused {
}
/** 403: the key is good, but not for this. */
export class NotAllowed extends RequestRefused {
}
/** 404, 410: it is not there, not any more, or somebody else's. */
export class NotFound extends RequestRefused {
}
/** 409, 423: not as things are now. */
export class Conflict extends RequestRefused {
}
/** 5xx: not our doing. */
export class ServerFailed extends RequestRefused {
}
/** 429: the same again after `retryAfter` seconds. */
export class TooManyRequests extends RequestRefused {
    /** In seconds. */
    retryAfter: number;
}
