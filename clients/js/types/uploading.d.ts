/**
 * The job's id, when all bytes are safe.
 *
 * @param {Transport} transport
 * @param {Film} film
 * @param {UploadOptions} options
 * @returns {Promise<string>}
 */
export function uploaded(transport: Transport, film: Film, { fields, filename, onProgress, signal, byPost, ...more }: UploadOptions): Promise<string>;
/**
 * @param {Fields} fields
 * @returns {Record<string, string>}
 */
export function metadataOf(fields: Fields): Record<string, string>;
import type { Transport } from "./transport.js";
import type { Film } from "./answers.js";
import type { UploadOptions } from "./answers.js";
import type { Fields } from "./answers.js";
