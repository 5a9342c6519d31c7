/** Films that are sent in as many requests as it takes, by tus-js-client. */

import * as tus from "tus-js-client";

import { ServerUnreachable, refusal } from "./errors.js";

/** @import {Fields, Film, UploadOptions} from "./answers.js" */
/** @import {Transport} from "./transport.js" */

const JOB_ID = "X-Job-ID";
const LONGEST_DELAY_MS = 5000;

/**
 * The job's id, when all bytes are safe.
 *
 * @param {Transport} transport
 * @param {Film} film
 * @param {UploadOptions} options
 * @returns {Promise<string>}
 */
export function uploaded(transport, film, { fields = {}, filename, onProgress, signal, byPost, ...more }) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const metadata = metadataOf({ filename: filename ?? nameOf(film), ...fields });
    /** @type {string | null} */
    let jobId = null;
    const upload = new tus.Upload(/** @type {tus.Upload["file"]} */ (film), {
      endpoint: `${transport.url}/uploads`,
      metadata,
      retryDelays: delays(transport.giveUpSeconds),
      overridePatchMethod: byPost,
      removeFingerprintOnSuccess: true,
      fingerprint: (file, options) => fingerprint(file, options, metadata),
      ...more,
      onProgress,
      async onBeforeRequest(request) {
        for (const [name, value] of Object.entries(await transport.credentials())) request.setHeader(name, value);
      },
      onAfterResponse(_request, response) {
        jobId = response.getHeader(JOB_ID) ?? jobId;
      },
      onSuccess: () => (jobId === null ? reject(new ServerUnreachable(transport.url)) : resolve(jobId)),
      onError: (error) => reject(errorOf(transport, error)),
    });
    signal?.addEventListener("abort", () => upload.abort().then(() => reject(signal.reason)), { once: true });
    begin(upload).catch(reject);
  });
}

/**
 * Where it broke off, as far as this browser knows.
 *
 * @param {tus.Upload} upload
 */
async function begin(upload) {
  const [latest] = (await upload.findPreviousUploads()).sort((a, b) => b.creationTime.localeCompare(a.creationTime));
  if (latest) upload.resumeFromPreviousUpload(latest);
  upload.start();
}

/**
 * What was asked for otherwise is another upload.
 *
 * @param {tus.Upload["file"]} file
 * @param {tus.UploadOptions} options
 * @param {Record<string, string>} metadata
 */
async function fingerprint(file, options, metadata) {
  const ofFile = await tus.defaultOptions.fingerprint(file, options);
  return ofFile && `${ofFile}-${JSON.stringify(Object.entries(metadata).sort())}`;
}

/** @param {number} seconds */
function delays(seconds) {
  const all = [200];
  for (let total = 200; total < seconds * 1000; total += all[all.length - 1] ?? 0) {
    all.push(Math.min(2 * (all[all.length - 1] ?? 0), LONGEST_DELAY_MS));
  }
  return all;
}

/**
 * @param {Film} film
 * @returns {string | undefined}
 */
function nameOf(film) {
  if ("name" in film && typeof film.name === "string") return film.name;
  return "path" in film && typeof film.path === "string" ? film.path.split(/[\\/]/).pop() : undefined;
}

/**
 * @param {Fields} fields
 * @returns {Record<string, string>}
 */
export function metadataOf(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(given.map(([name, value]) => [name, textOf(value)]));
}

/** @param {unknown} value */
function textOf(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/**
 * @param {Transport} transport
 * @param {Error | tus.DetailedError} error
 */
function errorOf(transport, error) {
  const response = "originalResponse" in error ? error.originalResponse : null;
  if (!response) return new ServerUnreachable(transport.url, error);
  return refusal(response.getStatus(), response.getBody(), (name) => response.getHeader(name));
}
