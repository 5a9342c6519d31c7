import { JobNotCompleted, refusal } from "./errors.js";
import { Transport, queryOf } from "./transport.js";
import { metadataOf, uploaded } from "./uploading.js";
import { byEvents, byWebSocket, watched } from "./watching.js";

/**
 * @import {Batch, Bulk, BulkAction, CallOptions, Caller, ChangedJobs, ChunkPage, Delivery, EventPage, ExternalFields, Fields, Film, Job, JobFilter, JobPage,
 *   JobPatch, JsonObject, Playback, Readiness, RecordedReport, Report, ReportedStatus, Reprocessing, Stage, StreamEvent, SubmittedBatch, Ticket, UploadLimits,
 *   UploadOptions, UploadProgress, WatchOptions, Webhook, WebhookFields, WhichJobs, Worker} from "./answers.js"
 * @import {Asked, ClientOptions} from "./transport.js"
 */

const TUS = { "Tus-Resumable": "1.0.0" };

/**
 * Everything that the API can do. What fails of a broken connection or a server that restarts is tried again; a POST names
 * itself by an `Idempotency-Key`, so that it is done once. Errors are `RequestRefused` with the code of the server, and
 * `ServerUnreachable`.
 */
export class StreamForgeClient {
  #transport;

  /**
   * @param {string} [url] Of the server. (http://127.0.0.1:8081)
   * @param {ClientOptions} [options]
   */
  constructor(url = "http://127.0.0.1:8081", options = {}) {
    this.#transport = new Transport(url, options);
  }

  // ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Send a film so that no byte is sent twice, by tus; its job's id. After a broken connection it goes on where the server has got
   * to, and after the page was closed when it is called again with the same file and fields. `signal` interrupts it: that
   * can be gone on with, too.
   *
   * @param {Film} film
   * @param {UploadOptions} [options]
   * @returns {Promise<string>}
   */
  upload(film, options = {}) {
    return uploaded(this.#transport, film, options);
  }

  /**
   * Send a film in one request, which a broken connection begins again; its job's id.
   *
   * @param {Blob} film
   * @param {Fields} [fields]
   * @param {CallOptions & {filename?: string}} [options]
   * @returns {Promise<string>}
   */
  async submit(film, fields = {}, { filename, signal } = {}) {
    const body = () => form([[film, filename]], fields);
    return (await this.#json("POST", "/process", { body, signal })).job_id;
  }

  /**
   * Have the server fetch the film at an address (`https://…`, `s3://…`); its job's id, at once.
   *
   * @param {string} sourceUrl
   * @param {Fields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<string>}
   */
  async submitUrl(sourceUrl, fields = {}, { signal } = {}) {
    return (await this.#json("POST", "/process", { json: { source_url: sourceUrl, ...fields }, signal })).job_id;
  }

  /**
   * What the server would do with a film, and what that would cost. Nothing is kept of it.
   *
   * @param {Blob} film
   * @param {Fields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<JsonObject>}
   */
  async plan(film, fields = {}, { signal } = {}) {
    return this.#json("POST", "/process", { query: { dry_run: true }, body: () => form([[film]], fields), signal });
  }

  /**
   * Send several films as one. One that the server cannot take does not take the others with it: see `rejected`.
   *
   * @param {Blob[]} films
   * @param {Fields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<SubmittedBatch>}
   */
  async submitBatch(films, fields = {}, { signal } = {}) {
    const body = () => form(films.map((film) => [film]), fields);
    return this.#json("POST", "/batches", { body, signal });
  }

  /**
   * How far an upload is, whoever sends it; a job that is `uploading` has its upload's id.
   *
   * @param {string} uploadId
   * @returns {Promise<UploadProgress>}
   */
  async uploadProgress(uploadId) {
    return this.#json("GET", `/uploads/${part(uploadId)}`);
  }

  /**
   * End an upload that is not complete: what came is deleted, and its job cancelled.
   *
   * @param {string} uploadId
   */
  async endUpload(uploadId) {
    await this.#transport.ask("DELETE", `/uploads/${part(uploadId)}`, { headers: TUS });
  }

  /** @returns {Promise<UploadLimits>} */
  async uploadLimits() {
    const { headers } = await this.#transport.ask("OPTIONS", "/uploads");
    const list = (/** @type {string} */ name) => (headers.get(name) ?? "").split(",");
    const most = headers.get("tus-max-size");
    return {
      versions: list("tus-version"),
      extensions: list("tus-extension"),
      maxSizeBytes: most === null ? null : Number(most),
    };
  }

  // ── following ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * The job's events until `done`. A stream that breaks is resumed after the last event seen: none is lost and none comes
   * twice, but every connection begins with a `status`.
   *
   * @param {string} jobId
   * @param {WatchOptions} [options]
   */
  watch(jobId, options = {}) {
    return watched(this.#transport, byEvents(this.#transport, `/jobs/${part(jobId)}/stream`), options);
  }

  /**
   * The same for all jobs of a batch.
   *
   * @param {string} batchId
   * @param {WatchOptions} [options]
   */
  watchBatch(batchId, options = {}) {
    return watched(this.#transport, byEvents(this.#transport, `/batches/${part(batchId)}/stream`), options);
  }

  /**
   * The same for all jobs there are and will be, without end, on one connection. Administrators may name an owner.
   *
   * @param {WatchOptions & {owner?: string}} [options]
   */
  watchEverything({ owner, ...options } = {}) {
    return watched(this.#transport, byEvents(this.#transport, `/stream${queryOf({ owner })}`), options);
  }

  /**
   * The same of a job, a batch or everything, where something on the way lets no event streams through.
   *
   * @param {WhichJobs & WatchOptions} [options]
   */
  watchByWebSocket({ jobId, batchId, owner, ...options } = {}) {
    return watched(this.#transport, byWebSocket(this.#transport, { jobId, batchId, owner }), options);
  }

  /**
   * Watch the job to its end; the completed job. Rejects with `JobNotCompleted`, with the job's own error sentence.
   *
   * @param {string} jobId
   * @param {(event: StreamEvent) => void} [onEvent]
   * @param {WatchOptions} [options]
   * @returns {Promise<Job>}
   */
  async follow(jobId, onEvent = () => {}, options = {}) {
    for await (const event of this.watch(jobId, options)) onEvent(event);
    const job = await this.job(jobId);
    if (job.status !== "completed") throw new JobNotCompleted(job.error_message ?? `The job ended as ${job.status}.`);
    return job;
  }

  // ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * @param {string} jobId
   * @returns {Promise<Job>}
   */
  async job(jobId) {
    return this.#json("GET", `/jobs/${part(jobId)}`);
  }

  /**
   * These jobs, in this order; unknown ones are left out.
   *
   * @param {string[]} ids
   * @returns {Promise<Job[]>}
   */
  async jobs(ids) {
    /** @type {Job[]} */
    const found = [];
    for (let at = 0; at < ids.length; at += 100) {
      found.push(...(await this.#json("GET", "/jobs", { query: { ids: ids.slice(at, at + 100).join(",") } })).jobs);
    }
    return found;
  }

  /**
   * A page of jobs, the newest first.
   *
   * @param {JobFilter & {cursor?: string | null, limit?: number}} [filter]
   * @returns {Promise<JobPage>}
   */
  async find(filter = {}) {
    return this.#json("GET", "/jobs", { query: metadataOf({ ...filter }) });
  }

  /**
   * Every job that the filter finds, the newest first, page by page as they are asked for.
   *
   * @param {JobFilter} [filter]
   * @returns {AsyncGenerator<Job, void, undefined>}
   */
  async *findAll(filter = {}) {
    /** @type {string | null} */
    let cursor = null;
    do {
      /** @type {JobPage} */
      const page = await this.find({ ...filter, cursor, limit: 100 });
      yield* page.jobs;
      cursor = page.next_cursor;
    } while (cursor !== null);
  }

  /**
   * A page of the job's log. `next` of a page is the `after` of the next one.
   *
   * @param {string} jobId
   * @param {{after?: number, since?: string, limit?: number}} [page]
   * @returns {Promise<EventPage>}
   */
  async events(jobId, page = {}) {
    return this.#json("GET", `/jobs/${part(jobId)}/events`, { query: page });
  }

  /**
   * @param {string} jobId
   * @param {{after?: number, limit?: number}} [page]
   * @returns {Promise<ChunkPage>}
   */
  async chunks(jobId, page = {}) {
    return this.#json("GET", `/jobs/${part(jobId)}/chunks`, { query: page });
  }

  /**
   * The same, with addresses that are valid for the whole time again.
   *
   * @param {string} jobId
   * @param {{after?: number, limit?: number}} [page]
   * @returns {Promise<ChunkPage>}
   */
  async refreshChunks(jobId, page = {}) {
    return this.#json("POST", `/jobs/${part(jobId)}/chunks/refresh`, { query: page });
  }

  /**
   * What was said of it on the machine of the API.
   *
   * @param {string} jobId
   * @param {{level?: string, since?: string, limit?: number}} [filter]
   * @returns {Promise<JsonObject[]>}
   */
  async logs(jobId, filter = {}) {
    return (await this.#json("GET", `/jobs/${part(jobId)}/logs`, { query: filter })).lines;
  }

  /**
   * The job, which ends as soon as its workers have heard.
   *
   * @param {string} jobId
   * @returns {Promise<Job>}
   */
  async cancel(jobId) {
    return this.#json("DELETE", `/jobs/${part(jobId)}`);
  }

  /**
   * Remove the job with its media: at once when it is over, else as soon as it is cancelled.
   *
   * @param {string} jobId
   */
  async purge(jobId) {
    await this.#transport.ask("DELETE", `/jobs/${part(jobId)}`, { query: { purge: true } });
  }

  /**
   * What is left out stays; `null` takes away.
   *
   * @param {string} jobId
   * @param {JobPatch} changes
   * @returns {Promise<Job>}
   */
  async change(jobId, changes) {
    return this.#json("PATCH", `/jobs/${part(jobId)}`, { json: changes });
  }

  /**
   * @param {string} jobId
   * @returns {Promise<Job>}
   */
  async pause(jobId) {
    return this.#json("POST", `/jobs/${part(jobId)}/pause`);
  }

  /**
   * @param {string} jobId
   * @returns {Promise<Job>}
   */
  async resume(jobId) {
    return this.#json("POST", `/jobs/${part(jobId)}/resume`);
  }

  /**
   * Begin a failed job again: from a stage on all is done again, without one only what is missing.
   *
   * @param {string} jobId
   * @param {{from?: Stage}} [options]
   * @returns {Promise<Job>}
   */
  async retry(jobId, options = {}) {
    return this.#json("POST", `/jobs/${part(jobId)}/retry`, { json: options });
  }

  /**
   * Make another job of the same video, with other options; its id.
   *
   * @param {string} jobId
   * @param {Reprocessing} [options]
   * @returns {Promise<string>}
   */
  async reprocess(jobId, options = {}) {
    return (await this.#json("POST", `/jobs/${part(jobId)}/reprocess`, { json: options })).job_id;
  }

  /**
   * Change up to a hundred jobs: these, or the newest that a filter finds.
   *
   * @param {BulkAction} action
   * @param {Bulk} which
   * @returns {Promise<ChangedJobs>}
   */
  async changeMany(action, which) {
    return this.#json("POST", "/jobs/bulk", { json: { action, ...which } });
  }

  /**
   * @param {string} batchId
   * @returns {Promise<Batch>}
   */
  async batch(batchId) {
    return this.#json("GET", `/batches/${part(batchId)}`);
  }

  // ── playback ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * Where the job's stream is found now: of a signed one, addresses that are valid for the whole time again.
   *
   * @param {string} jobId
   * @returns {Promise<Playback>}
   */
  async refreshPlayback(jobId) {
    return this.#json("POST", `/jobs/${part(jobId)}/playback/refresh`);
  }

  /**
   * A file of the job's stream, as `master.m3u8` or `720p/0.m4s`; its bytes come when they are read.
   *
   * @param {string} jobId
   * @param {string} path
   * @param {CallOptions} [options]
   * @returns {Promise<Response>}
   */
  media(jobId, path, { signal } = {}) {
    return this.#transport.ask("GET", `/media/${part(jobId)}/${path.split("/").map(part).join("/")}`, { signal });
  }

  /**
   * The 16 bytes that an HLS playlist names. `signature` stands in the address where the stream is signed.
   *
   * @param {string} jobId
   * @param {string} keyId
   * @param {{signature?: string}} [options]
   * @returns {Promise<Uint8Array>}
   */
  async contentKey(jobId, keyId, { signature } = {}) {
    const answer = await this.#transport.ask("GET", `${keys(jobId, signature)}/${part(keyId)}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /**
   * All keys of the job for one of them (in base64url), as Clear Key of DASH asks.
   *
   * @param {string} jobId
   * @param {string[]} keyIds
   * @param {{signature?: string}} [options]
   * @returns {Promise<{kid: string, k: string}[]>}
   */
  async license(jobId, keyIds, { signature } = {}) {
    return (await this.#json("POST", `${keys(jobId, signature)}/license`, { json: { kids: keyIds } })).keys;
  }

  // ── workers elsewhere ───────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * A job that nobody works on here.
   *
   * @param {string} key
   * @param {ExternalFields} [fields]
   * @returns {Promise<Job>}
   */
  async createExternal(key, fields = {}) {
    return this.#json("POST", "/jobs", { json: { kind: "external", key, ...fields } });
  }

  /**
   * Tell how far it is; `timestamp` is now if it is left out. Said again, it counts once.
   *
   * @param {string} jobId
   * @param {Report} report
   * @returns {Promise<RecordedReport>}
   */
  async report(jobId, report) {
    const said = { jobId, timestamp: new Date().toISOString(), ...report };
    return this.#json("POST", `/jobs/${part(jobId)}/events`, { json: said });
  }

  /**
   * How any job is, in the words of such reports.
   *
   * @param {string} jobId
   * @returns {Promise<ReportedStatus>}
   */
  async statusDetailed(jobId) {
    return this.#json("GET", `/jobs/${part(jobId)}/status-detailed`);
  }

  /**
   * How it came to that, the oldest first. `next` of a page is the `after` of the next one.
   *
   * @param {string} jobId
   * @param {{since?: string, after?: number, limit?: number}} [page]
   * @returns {Promise<{events: ReportedStatus[], next: number | null}>}
   */
  async progressHistory(jobId, page = {}) {
    return this.#json("GET", `/jobs/${part(jobId)}/progress-history`, { query: page });
  }

  // ── webhooks ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** @returns {Promise<Webhook[]>} */
  async webhooks() {
    return (await this.#json("GET", "/webhooks")).webhooks;
  }

  /**
   * @param {string} url
   * @param {WebhookFields} [fields]
   * @returns {Promise<Webhook>}
   */
  async createWebhook(url, fields = {}) {
    return this.#json("POST", "/webhooks", { json: { url, ...fields } });
  }

  /**
   * @param {string} webhookId
   * @returns {Promise<Webhook>}
   */
  async webhook(webhookId) {
    return this.#json("GET", `/webhooks/${part(webhookId)}`);
  }

  /**
   * @param {string} webhookId
   * @param {WebhookFields & {url?: string}} changes
   * @returns {Promise<Webhook>}
   */
  async changeWebhook(webhookId, changes) {
    return this.#json("PATCH", `/webhooks/${part(webhookId)}`, { json: changes });
  }

  /** @param {string} webhookId */
  async deleteWebhook(webhookId) {
    await this.#transport.ask("DELETE", `/webhooks/${part(webhookId)}`);
  }

  /**
   * What a receiver verifies signatures with.
   *
   * @param {string} webhookId Or `jobs`: of the addresses that jobs bring with them.
   * @returns {Promise<{secret: string, previous: string | null, previous_until: string | null}>}
   */
  async webhookSecret(webhookId) {
    return this.#json("GET", `/webhooks/${part(webhookId)}/secret`);
  }

  /**
   * Another secret signs from now on; the one before does, too, for a while.
   *
   * @param {string} webhookId
   */
  async rotateWebhookSecret(webhookId) {
    await this.#transport.ask("POST", `/webhooks/${part(webhookId)}/secret/rotate`);
  }

  /**
   * @param {string} webhookId
   * @returns {Promise<Delivery>}
   */
  async testWebhook(webhookId) {
    return this.#json("POST", `/webhooks/${part(webhookId)}/test`);
  }

  /**
   * A page of what was sent and what came back, the newest first.
   *
   * @param {string} webhookId
   * @param {{status?: "pending" | "delivered" | "failed", cursor?: string, limit?: number}} [page]
   * @returns {Promise<{deliveries: Delivery[], next_cursor: string | null}>}
   */
  async deliveries(webhookId, page = {}) {
    return this.#json("GET", `/webhooks/${part(webhookId)}/deliveries`, { query: page });
  }

  /**
   * Send it again, now.
   *
   * @param {string} webhookId
   * @param {string} deliveryId
   * @returns {Promise<Delivery>}
   */
  async redeliver(webhookId, deliveryId) {
    return this.#json("POST", `/webhooks/${part(webhookId)}/deliveries/${part(deliveryId)}/redeliver`);
  }

  // ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** @returns {Promise<Caller>} */
  async whoAmI() {
    return this.#json("GET", "/session");
  }

  /**
   * For something that can send no header, such as a player: the path with a ticket that opens it, for a minute and once.
   *
   * @param {string} path
   * @returns {Promise<Ticket>}
   */
  async ticket(path) {
    return this.#json("POST", "/tickets", { json: { path } });
  }

  /**
   * Show the key once, for a cookie that no script can read. Another client of the page then needs none.
   *
   * @returns {Promise<Caller>}
   */
  async signIn() {
    return this.#json("POST", "/session");
  }

  /** End the session, also one that was over. */
  async signOut() {
    await this.#transport.ask("DELETE", "/session");
  }

  // ── for who runs the server ─────────────────────────────────────────────────────────────────────────────────────────
  /**
   * How much there is to do.
   * @returns {Promise<JsonObject>}
   */
  async queue() {
    return this.#json("GET", "/queue/stats");
  }

  /** @returns {Promise<Worker[]>} */
  async workers() {
    return (await this.#json("GET", "/workers")).workers;
  }

  /**
   * Have a worker stop.
   *
   * @param {string} workerId
   * @returns {Promise<Worker>}
   */
  async drain(workerId) {
    return this.#json("POST", `/workers/${part(workerId).replace("%40", "@")}/drain`);
  }

  /**
   * What was used of the limits by whoever asks; administrators may name another.
   *
   * @param {{owner?: string}} [options]
   * @returns {Promise<JsonObject>}
   */
  async usage({ owner } = {}) {
    return this.#json("GET", "/usage", { query: { owner } });
  }

  /**
   * A page of what administrators did and what was refused, the newest first.
   *
   * @param {Record<string, string | number>} [filter]
   * @returns {Promise<{entries: JsonObject[], next_cursor: string | null}>}
   */
  async audit(filter = {}) {
    return this.#json("GET", "/audit", { query: filter });
  }

  /** @returns {Promise<JsonObject>} */
  async health() {
    return this.#json("GET", "/health");
  }

  /**
   * Whether everything is well that the server needs, or what is not.
   * @returns {Promise<Readiness>}
   */
  async ready() {
    const response = await this.#transport.answer("GET", "/ready");
    const body = await response.text();
    if (response.ok || body.includes('"checks"')) return JSON.parse(body);
    throw refusal(response.status, body, (name) => response.headers.get(name));
  }

  /**
   * In the text format of Prometheus.
   * @returns {Promise<string>}
   */
  async metrics() {
    return (await this.#transport.ask("GET", "/metrics")).text();
  }

  /**
   * Every address, and what it does.
   * @returns {Promise<JsonObject>}
   */
  async index() {
    return this.#json("GET", "/");
  }

  /**
   * The description of the API in OpenAPI 3.1.
   * @returns {Promise<JsonObject>}
   */
  async openapi() {
    return this.#json("GET", "/openapi.json");
  }

  /**
   * The same as a page for people.
   * @returns {Promise<string>}
   */
  async documentation() {
    return (await this.#transport.ask("GET", "/docs")).text();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Asked} [asked]
   * @returns {Promise<any>}
   */
  async #json(method, path, asked) {
    return (await this.#transport.ask(method, path, asked)).json();
  }
}

/** @param {string} text */
function part(text) {
  return encodeURIComponent(text);
}

/**
 * @param {string} jobId
 * @param {string} [signature]
 */
function keys(jobId, signature) {
  return signature === undefined ? `/keys/${part(jobId)}` : `/keys/${part(jobId)}/${part(signature)}`;
}

/**
 * @param {[Blob, string?][]} films
 * @param {Fields} fields
 */
function form(films, fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(metadataOf(fields))) data.append(name, value);
  for (const [film, filename] of films) {
    data.append("video", film, filename ?? ("name" in film ? String(film.name) : "video"));
  }
  return data;
}
