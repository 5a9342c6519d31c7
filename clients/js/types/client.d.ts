/**
 * Everything that the API can do. What fails of a broken connection or a server that restarts is tried again; a POST names
 * itself by an `Idempotency-Key`, so that it is done once. Errors are `RequestRefused` with the code of the server, and
 * `ServerUnreachable`.
 */
export class StreamForgeClient {
    /**
     * @param {string} [url] Of the server. (http://127.0.0.1:8081)
     * @param {ClientOptions} [options]
     */
    constructor(url?: string, options?: ClientOptions);
    /**
     * Send a film so that no byte is sent twice, by tus; its job's id. After a broken connection it goes on where the server has got
     * to, and after the page was closed when it is called again with the same file and fields. `signal` interrupts it: that
     * can be gone on with, too.
     *
     * @param {Film} film
     * @param {UploadOptions} [options]
     * @returns {Promise<string>}
     */
    upload(film: Film, options?: UploadOptions): Promise<string>;
    /**
     * Send a film in one request, which a broken connection begins again; its job's id.
     *
     * @param {Blob} film
     * @param {Fields} [fields]
     * @param {CallOptions & {filename?: string}} [options]
     * @returns {Promise<string>}
     */
    submit(film: Blob, fields?: Fields, { filename, signal }?: CallOptions & {
        filename?: string;
    }): Promise<string>;
    /**
     * Have the server fetch the film at an address (`https://…`, `s3://…`); its job's id, at once.
     *
     * @param {string} sourceUrl
     * @param {Fields} [fields]
     * @param {CallOptions} [options]
     * @returns {Promise<string>}
     */
    submitUrl(sourceUrl: string, fields?: Fields, { signal }?: CallOptions): Promise<string>;
    /**
     * What the server would do with a film, and what that would cost. Nothing is kept of it.
     *
     * @param {Blob} film
     * @param {Fields} [fields]
     * @param {CallOptions} [options]
     * @returns {Promise<JsonObject>}
     */
    plan(film: Blob, fields?: Fields, { signal }?: CallOptions): Promise<JsonObject>;
    /**
     * Send several films as one. One that the server cannot take does not take the others with it: see `rejected`.
     *
     * @param {Blob[]} films
     * @param {Fields} [fields]
     * @param {CallOptions} [options]
     * @returns {Promise<SubmittedBatch>}
     */
    submitBatch(films: Blob[], fields?: Fields, { signal }?: CallOptions): Promise<SubmittedBatch>;
    /**
     * How far an upload is, whoever sends it; a job that is `uploading` has its upload's id.
     *
     * @param {string} uploadId
     * @returns {Promise<UploadProgress>}
     */
    uploadProgress(uploadId: string): Promise<UploadProgress>;
    /**
     * End an upload that is not complete: what came is deleted, and its job cancelled.
     *
     * @param {string} uploadId
     */
    endUpload(uploadId: string): Promise<void>;
    /** @returns {Promise<UploadLimits>} */
    uploadLimits(): Promise<UploadLimits>;
    /**
     * The job's events until `done`. A stream that breaks is resumed after the last event seen: none is lost and none comes
     * twice, but every connection begins with a `status`.
     *
     * @param {string} jobId
     * @param {WatchOptions} [options]
     */
    watch(jobId: string, options?: WatchOptions): AsyncGenerator<StreamEvent, void, undefined>;
    /**
     * The same for all jobs of a batch.
     *
     * @param {string} batchId
     * @param {WatchOptions} [options]
     */
    watchBatch(batchId: string, options?: WatchOptions): AsyncGenerator<StreamEvent, void, undefined>;
    /**
     * The same for all jobs there are and will be, without end, on one connection. Administrators may name an owner.
     *
     * @param {WatchOptions & {owner?: string}} [options]
     */
    watchEverything({ owner, ...options }?: WatchOptions & {
        owner?: string;
    }): AsyncGenerator<StreamEvent, void, undefined>;
    /**
     * The same of a job, a batch or everything, where something on the way lets no event streams through.
     *
     * @param {WhichJobs & WatchOptions} [options]
     */
    watchByWebSocket({ jobId, batchId, owner, ...options }?: WhichJobs & WatchOptions): AsyncGenerator<StreamEvent, void, undefined>;
    /**
     * Watch the job to its end; the completed job. Rejects with `JobNotCompleted`, with the job's own error sentence.
     *
     * @param {string} jobId
     * @param {(event: StreamEvent) => void} [onEvent]
     * @param {WatchOptions} [options]
     * @returns {Promise<Job>}
     */
    follow(jobId: string, onEvent?: (event: StreamEvent) => void, options?: WatchOptions): Promise<Job>;
    /**
     * @param {string} jobId
     * @returns {Promise<Job>}
     */
    job(jobId: string): Promise<Job>;
    /**
     * These jobs, in this order; unknown ones are left out.
     *
     * @param {string[]} ids
     * @returns {Promise<Job[]>}
     */
    jobs(ids: string[]): Promise<Job[]>;
    /**
     * A page of jobs, the newest first.
     *
     * @param {JobFilter & {cursor?: string | null, limit?: number}} [filter]
     * @returns {Promise<JobPage>}
     */
    find(filter?: JobFilter & {
        cursor?: string | null;
        limit?: number;
    }): Promise<JobPage>;
    /**
     * Every job that the filter finds, the newest first, page by page as they are asked for.
     *
     * @param {JobFilter} [filter]
     * @returns {AsyncGenerator<Job, void, undefined>}
     */
    findAll(filter?: JobFilter): AsyncGenerator<Job, void, undefined>;
    /**
     * A page of the job's log. `next` of a page is the `after` of the next one.
     *
     * @param {string} jobId
     * @param {{after?: number, since?: string, limit?: number}} [page]
     * @returns {Promise<EventPage>}
     */
    events(jobId: string, page?: {
        after?: number;
        since?: string;
        limit?: number;
    }): Promise<EventPage>;
    /**
     * @param {string} jobId
     * @param {{after?: number, limit?: number}} [page]
     * @returns {Promise<ChunkPage>}
     */
    chunks(jobId: string, page?: {
        after?: number;
        limit?: number;
    }): Promise<ChunkPage>;
    /**
     * The same, with addresses that are valid for the whole time again.
     *
     * @param {string} jobId
     * @param {{after?: number, limit?: number}} [page]
     * @returns {Promise<ChunkPage>}
     */
    refreshChunks(jobId: string, page?: {
        after?: number;
        limit?: number;
    }): Promise<ChunkPage>;
    /**
     * What was said of it on the machine of the API.
     *
     * @param {string} jobId
     * @param {{level?: string, since?: string, limit?: number}} [filter]
     * @returns {Promise<JsonObject[]>}
     */
    logs(jobId: string, filter?: {
        level?: string;
        since?: string;
        limit?: number;
    }): Promise<JsonObject[]>;
    /**
     * The job, which ends as soon as its workers have heard.
     *
     * @param {string} jobId
     * @returns {Promise<Job>}
     */
    cancel(jobId: string): Promise<Job>;
    /**
     * Remove the job with its media: at once when it is over, else as soon as it is cancelled.
     *
     * @param {string} jobId
     */
    purge(jobId: string): Promise<void>;
    /**
     * What is left out stays; `null` takes away.
     *
     * @param {string} jobId
     * @param {JobPatch} changes
     * @returns {Promise<Job>}
     */
    change(jobId: string, changes: JobPatch): Promise<Job>;
    /**
     * @param {string} jobId
     * @returns {Promise<Job>}
     */
    pause(jobId: string): Promise<Job>;
    /**
     * @param {string} jobId
     * @returns {Promise<Job>}
     */
    resume(jobId: string): Promise<Job>;
    /**
     * Begin a failed job again: from a stage on all is done again, without one only what is missing.
     *
     * @param {string} jobId
     * @param {{from?: Stage}} [options]
     * @returns {Promise<Job>}
     */
    retry(jobId: string, options?: {
        from?: Stage;
    }): Promise<Job>;
    /**
     * Make another job of the same video, with other options; its id.
     *
     * @param {string} jobId
     * @param {Reprocessing} [options]
     * @returns {Promise<string>}
     */
    reprocess(jobId: string, options?: Reprocessing): Promise<string>;
    /**
     * Change up to a hundred jobs: these, or the newest that a filter finds.
     *
     * @param {BulkAction} action
     * @param {Bulk} which
     * @returns {Promise<ChangedJobs>}
     */
    changeMany(action: BulkAction, which: Bulk): Promise<ChangedJobs>;
    /**
     * @param {string} batchId
     * @returns {Promise<Batch>}
     */
    batch(batchId: string): Promise<Batch>;
    /**
     * Where the job's stream is found now: of a signed one, addresses that are valid for the whole time again.
     *
     * @param {string} jobId
     * @returns {Promise<Playback>}
     */
    refreshPlayback(jobId: string): Promise<Playback>;
    /**
     * A file of the job's stream, as `master.m3u8` or `720p/0.m4s`; its bytes come when they are read.
     *
     * @param {string} jobId
     * @param {string} path
     * @param {CallOptions} [options]
     * @returns {Promise<Response>}
     */
    media(jobId: string, path: string, { signal }?: CallOptions): Promise<Response>;
    /**
     * The 16 bytes that an HLS playlist names. `signature` stands in the address where the stream is signed.
     *
     * @param {string} jobId
     * @param {string} keyId
     * @param {{signature?: string}} [options]
     * @returns {Promise<Uint8Array>}
     */
    contentKey(jobId: string, keyId: string, { signature }?: {
        signature?: string;
    }): Promise<Uint8Array>;
    /**
     * All keys of the job for one of them (in base64url), as Clear Key of DASH asks.
     *
     * @param {string} jobId
     * @param {string[]} keyIds
     * @param {{signature?: string}} [options]
     * @returns {Promise<{kid: string, k: string}[]>}
     */
    license(jobId: string, keyIds: string[], { signature }?: {
        signature?: string;
    }): Promise<{
        kid: string;
        k: string;
    }[]>;
    /**
     * A job that nobody works on here.
     *
     * @param {string} key
     * @param {ExternalFields} [fields]
     * @returns {Promise<Job>}
     */
    createExternal(key: string, fields?: ExternalFields): Promise<Job>;
    /**
     * Tell how far it is; `timestamp` is now if it is left out. Said again, it counts once.
     *
     * @param {string} jobId
     * @param {Report} report
     * @returns {Promise<RecordedReport>}
     */
    report(jobId: string, report: Report): Promise<RecordedReport>;
    /**
     * How any job is, in the words of such reports.
     *
     * @param {string} jobId
     * @returns {Promise<ReportedStatus>}
     */
    statusDetailed(jobId: string): Promise<ReportedStatus>;
    /**
     * How it came to that, the oldest first. `next` of a page is the `after` of the next one.
     *
     * @param {string} jobId
     * @param {{since?: string, after?: number, limit?: number}} [page]
     * @returns {Promise<{events: ReportedStatus[], next: number | null}>}
     */
    progressHistory(jobId: string, page?: {
        since?: string;
        after?: number;
        limit?: number;
    }): Promise<{
        events: ReportedStatus[];
        next: number | null;
    }>;
    /** @returns {Promise<Webhook[]>} */
    webhooks(): Promise<Webhook[]>;
    /**
     * @param {string} url
     * @param {WebhookFields} [fields]
     * @returns {Promise<Webhook>}
     */
    createWebhook(url: string, fields?: WebhookFields): Promise<Webhook>;
    /**
     * @param {string} webhookId
     * @returns {Promise<Webhook>}
     */
    webhook(webhookId: string): Promise<Webhook>;
    /**
     * @param {string} webhookId
     * @param {WebhookFields & {url?: string}} changes
     * @returns {Promise<Webhook>}
     */
    changeWebhook(webhookId: string, changes: WebhookFields & {
        url?: string;
    }): Promise<Webhook>;
    /** @param {string} webhookId */
    deleteWebhook(webhookId: string): Promise<void>;
    /**
     * What a receiver verifies signatures with.
     *
     * @param {string} webhookId Or `jobs`: of the addresses that jobs bring with them.
     * @returns {Promise<{secret: string, previous: string | null, previous_until: string | null}>}
     */
    webhookSecret(webhookId: string): Promise<{
        secret: string;
        previous: string | null;
        previous_until: string | null;
    }>;
    /**
     * Another secret signs from now on; the one before does, too, for a while.
     *
     * @param {string} webhookId
     */
    rotateWebhookSecret(webhookId: string): Promise<void>;
    /**
     * @param {string} webhookId
     * @returns {Promise<Delivery>}
     */
    testWebhook(webhookId: string): Promise<Delivery>;
    /**
     * A page of what was sent and what came back, the newest first.
     *
     * @param {string} webhookId
     * @param {{status?: "pending" | "delivered" | "failed", cursor?: string, limit?: number}} [page]
     * @returns {Promise<{deliveries: Delivery[], next_cursor: string | null}>}
     */
    deliveries(webhookId: string, page?: {
        status?: "pending" | "delivered" | "failed";
        cursor?: string;
        limit?: number;
    }): Promise<{
        deliveries: Delivery[];
        next_cursor: string | null;
    }>;
    /**
     * Send it again, now.
     *
     * @param {string} webhookId
     * @param {string} deliveryId
     * @returns {Promise<Delivery>}
     */
    redeliver(webhookId: string, deliveryId: string): Promise<Delivery>;
    /** @returns {Promise<Caller>} */
    whoAmI(): Promise<Caller>;
    /**
     * For something that can send no header, such as a player: the path with a ticket that opens it, for a minute and once.
     *
     * @param {string} path
     * @returns {Promise<Ticket>}
     */
    ticket(path: string): Promise<Ticket>;
    /**
     * Show the key once, for a cookie that no script can read. Another client of the page then needs none.
     *
     * @returns {Promise<Caller>}
     */
    signIn(): Promise<Caller>;
    /** End the session, also one that was over. */
    signOut(): Promise<void>;
    /**
     * How much there is to do.
     * @returns {Promise<JsonObject>}
     */
    queue(): Promise<JsonObject>;
    /** @returns {Promise<Worker[]>} */
    workers(): Promise<Worker[]>;
    /**
     * Have a worker stop.
     *
     * @param {string} workerId
     * @returns {Promise<Worker>}
     */
    drain(workerId: string): Promise<Worker>;
    /**
     * What was used of the limits by whoever asks; administrators may name another.
     *
     * @param {{owner?: string}} [options]
     * @returns {Promise<JsonObject>}
     */
    usage({ owner }?: {
        owner?: string;
    }): Promise<JsonObject>;
    /**
     * A page of what administrators did and what was refused, the newest first.
     *
     * @param {Record<string, string | number>} [filter]
     * @returns {Promise<{entries: JsonObject[], next_cursor: string | null}>}
     */
    audit(filter?: Record<string, string | number>): Promise<{
        entries: JsonObject[];
        next_cursor: string | null;
    }>;
    /** @returns {Promise<JsonObject>} */
    health(): Promise<JsonObject>;
    /**
     * Whether everything is well that the server needs, or what is not.
     * @returns {Promise<Readiness>}
     */
    ready(): Promise<Readiness>;
    /**
     * In the text format of Prometheus.
     * @returns {Promise<string>}
     */
    metrics(): Promise<string>;
    /**
     * Every address, and what it does.
     * @returns {Promise<JsonObject>}
     */
    index(): Promise<JsonObject>;
    /**
     * The description of the API in OpenAPI 3.1.
     * @returns {Promise<JsonObject>}
     */
    openapi(): Promise<JsonObject>;
    /**
     * The same as a page for people.
     * @returns {Promise<string>}
     */
    documentation(): Promise<string>;
    #private;
}
import type { Film } from "./answers.js";
import type { UploadOptions } from "./answers.js";
import type { Fields } from "./answers.js";
import type { CallOptions } from "./answers.js";
import type { JsonObject } from "./answers.js";
import type { SubmittedBatch } from "./answers.js";
import type { UploadProgress } from "./answers.js";
import type { UploadLimits } from "./answers.js";
import type { WatchOptions } from "./answers.js";
import type { StreamEvent } from "./answers.js";
import type { WhichJobs } from "./answers.js";
import type { Job } from "./answers.js";
import type { JobFilter } from "./answers.js";
import type { JobPage } from "./answers.js";
import type { EventPage } from "./answers.js";
import type { ChunkPage } from "./answers.js";
import type { JobPatch } from "./answers.js";
import type { Stage } from "./answers.js";
import type { Reprocessing } from "./answers.js";
import type { BulkAction } from "./answers.js";
import type { Bulk } from "./answers.js";
import type { ChangedJobs } from "./answers.js";
import type { Batch } from "./answers.js";
import type { Playback } from "./answers.js";
import type { ExternalFields } from "./answers.js";
import type { Report } from "./answers.js";
import type { RecordedReport } from "./answers.js";
import type { ReportedStatus } from "./answers.js";
import type { Webhook } from "./answers.js";
import type { WebhookFields } from "./answers.js";
import type { Delivery } from "./answers.js";
import type { Caller } from "./answers.js";
import type { Ticket } from "./answers.js";
import type { Worker } from "./answers.js";
import type { Readiness } from "./answers.js";
import type { ClientOptions } from "./transport.js";
