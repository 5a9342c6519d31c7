/** What can go wrong for a client: no server, its answer that something is wrong, and a job that did not come to a good end. */

/** Of an error page that is no problem+json: it came from something between the server and us. */
const UNKNOWN_CODE = "http";
/** Where who asks too often is not told when to come back. */
const RETRY_AFTER_SECONDS = 5;
/** Statuses of what is over in a while. */
const WORTH_A_RETRY = new Set([429, 502, 503, 504]);
/** Our own request, whose connection broke, is still being worked on. */
const IN_FLIGHT = "request.idempotency_in_flight";

/** Every error of this client; `code` is stable, `message` one sentence a person can act on. */
export class StreamForgeError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = new.target.name;
    /** @type {string} */
    this.code = code;
  }

  /** Whether the same request may be answered otherwise in a while. */
  get mayPass() {
    return false;
  }
}

export class ServerUnreachable extends StreamForgeError {
  /**
   * @param {string} url
   * @param {unknown} [cause]
   */
  constructor(url, cause) {
    super("client.unreachable", `StreamForge does not answer at ${url}.`, { cause });
  }

  get mayPass() {
    return true;
  }
}

/** The job that was waited for failed or was cancelled. */
export class JobNotCompleted extends StreamForgeError {
  /** @param {string} message */
  constructor(message) {
    super("client.job_not_completed", message);
  }
}

/** The server's own answer that something is wrong. `requestId` finds it in the server's log. */
export class RequestRefused extends StreamForgeError {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {string | null} requestId
   */
  constructor(status, code, message, requestId) {
    super(code, message);
    /** @type {number} */
    this.status = status;
    /** @type {string | null} */
    this.requestId = requestId;
  }

  get mayPass() {
    return WORTH_A_RETRY.has(this.status) || this.code === IN_FLIGHT;
  }
}

/** 400, 413, 415, 422: another request is needed. */
export class InvalidRequest extends RequestRefused {}
/** 401: no key, or one that is not good any more. */
export class NotAuthenticated extends RequestRefused {}
/** 403: the key is good, but not for this. */
export class NotAllowed extends RequestRefused {}
/** 404, 410: it is not there, not any more, or somebody else's. */
export class NotFound extends RequestRefused {}
/** 409, 423: not as things are now. */
export class Conflict extends RequestRefused {}
/** 5xx: not our doing. */
export class ServerFailed extends RequestRefused {}

/** 429: the same again after `retryAfter` seconds. */
export class TooManyRequests extends RequestRefused {
  /** In seconds. */
  retryAfter = RETRY_AFTER_SECONDS;
}

/** @type {Record<number, typeof RequestRefused>} */
const KINDS = {
  400: InvalidRequest,
  401: NotAuthenticated,
  403: NotAllowed,
  404: NotFound,
  409: Conflict,
  410: NotFound,
  413: InvalidRequest,
  415: InvalidRequest,
  422: InvalidRequest,
  423: Conflict,
  429: TooManyRequests,
};

/**
 * Of an answer with a 4xx or 5xx; problem+json says why.
 *
 * @param {number} status
 * @param {string} body
 * @param {(name: string) => string | null | undefined} header
 * @returns {RequestRefused}
 */
export function refusal(status, body, header) {
  const Kind = status >= 500 ? ServerFailed : (KINDS[status] ?? RequestRefused);
  const { code, detail } = problem(body);
  const sentence = code === undefined ? `The server answered ${status}.` : String(detail);
  const refused = new Kind(status, code ?? UNKNOWN_CODE, sentence, header("x-request-id") ?? null);
  if (refused instanceof TooManyRequests && /^\d+$/.test(header("retry-after") ?? "")) {
    refused.retryAfter = Number(header("retry-after"));
  }
  return refused;
}

/**
 * @param {string} body
 * @returns {{code?: string, detail?: unknown}}
 */
function problem(body) {
  try {
    const told = JSON.parse(body);
    return typeof told?.code === "string" ? told : {};
  } catch {
    return {};
  }
}
