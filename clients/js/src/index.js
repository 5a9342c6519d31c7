/** The client of StreamForge, for pages and for Node. */

export { StreamForgeClient } from "./client.js";
export {
  Conflict,
  InvalidRequest,
  JobNotCompleted,
  NotAllowed,
  NotAuthenticated,
  NotFound,
  RequestRefused,
  ServerFailed,
  ServerUnreachable,
  StreamForgeError,
  TooManyRequests,
} from "./errors.js";

/** @typedef {import("./answers.js").Fields} Fields */
/** @typedef {import("./answers.js").Job} Job */
/** @typedef {import("./answers.js").JobError} JobError */
/** @typedef {import("./answers.js").JobFilter} JobFilter */
/** @typedef {import("./answers.js").Playback} Playback */
/** @typedef {import("./answers.js").StreamEvent} StreamEvent */
/** @typedef {import("./answers.js").UploadOptions} UploadOptions */
/** @typedef {import("./answers.js").WatchOptions} WatchOptions */
/** @typedef {import("./transport.js").ClientOptions} ClientOptions */
