/** What is sent and what the server answers: types only. Fields of newer servers stay readable. */

export type JobStatus = "pending" | "processing" | "completed" | "failed" | "cancelled" | (string & {});
export type Stage =
  | "uploading" | "transcoding" | "validation" | "packaging" | "storage" | "completed" | "failed" | "cancelled" | (string & {});

/** A film: of a page a `File` or a `Blob`, in Node a stream of `fs.createReadStream`. */
export type Film = Blob | { read(): unknown; path?: string | Uint8Array };

/** The fields of `POST /process`. */
export interface Fields {
  key?: string;
  profile?: string;
  captions?: string;
  on_damage?: "fail" | "keep";
  priority?: 1 | 2 | 3 | 4 | 5;
  external_id?: string;
  metadata?: Record<string, unknown>;
  webhook_url?: string;
  playback?: "public" | "signed";
  [field: string]: unknown;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface UploadOptions extends CallOptions {
  fields?: Fields;
  /** In the place of the film's own. */
  filename?: string;
  onProgress?: (sent: number, total: number | null) => void;
  /** Say PATCH as POST, where something on the way lets nothing else through. */
  byPost?: boolean;
  /** Parts that are sent at the same time. */
  parallelUploads?: number;
  /** Bytes of a request, where a proxy lets no larger ones through. */
  chunkSize?: number;
  /** Where tus-js-client writes down what is under way: the browser's localStorage if not given; in Node nowhere. */
  urlStorage?: import("tus-js-client").UrlStorage;
}

export interface WatchOptions extends CallOptions {
  /** Begin behind this one. */
  lastEventId?: string;
}

/** Those of a job, of a batch, of an owner (for administrators), or all. */
export interface WhichJobs {
  jobId?: string;
  batchId?: string;
  owner?: string;
}

/** One frame of a stream. */
export interface StreamEvent {
  event: "status" | "progress" | "playable" | "captions" | "asset_expiring" | "reset" | "done" | (string & {});
  id: string | null;
  job_id?: string;
  status?: JobStatus;
  stage?: Stage;
  /** In percent. */
  progress?: number;
  message?: string;
  timestamp?: string;
  error?: JobError;
  details?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface JobError {
  code: string;
  message: string;
  stage: Stage;
  fault: "caller" | "service" | (string & {});
  retryable: boolean;
}

export interface Playback {
  hls: string;
  dash: string | null;
  poster: string | null;
  thumbnails: string | null;
  captions: { label: string; language: string | null; kind: string; generated: boolean; src: string }[];
  license: string | null;
  expires_at: string | null;
  [field: string]: unknown;
}

export interface Rendition {
  name: string;
  width: number;
  height: number;
  codec: string;
  bitrate: number | null;
  progress: number;
  [field: string]: unknown;
}

export interface Job {
  id: string;
  key: string;
  owner: string;
  status: JobStatus;
  stage: Stage;
  progress: number;
  created_at: string;
  updated_at: string;
  completed_at: string | null;
  error_message: string | null;
  error: JobError | null;
  external_id: string | null;
  metadata: Record<string, unknown> | null;
  priority: number;
  profile: string | null;
  size_bytes: number | null;
  eta_seconds: number | null;
  queue_position: number | null;
  retries: number;
  paused_at: string | null;
  retain_until: string | null;
  legal_hold: boolean;
  playback: Playback | null;
  renditions: Rendition[];
  latest_events: { stage: Stage; progress: number; message: string; created_at: string }[];
  [field: string]: unknown;
}

/** The parameters of `GET /jobs`. Times are ISO 8601. */
export interface JobFilter {
  status?: JobStatus;
  stage?: Stage;
  key?: string;
  q?: string;
  external_id?: string;
  metadata?: Record<string, unknown>;
  since?: string;
  until?: string;
  owner?: string;
}

export interface JobPage {
  jobs: Job[];
  next_cursor: string | null;
}

export interface JobPatch {
  priority?: number;
  metadata?: Record<string, unknown> | null;
  retain_until?: string | null;
  legal_hold?: boolean;
}

export interface Reprocessing {
  profile?: string;
  captions?: string;
  on_damage?: string;
  priority?: number;
}

export type BulkAction = "cancel" | "purge" | "pause" | "resume" | "retry" | "reprocess" | "change";

export interface Bulk {
  ids?: string[];
  filter?: JobFilter;
  change?: JobPatch;
  from?: Stage;
  options?: Reprocessing;
}

export interface ChangedJobs {
  results: { job_id: string; status: number; code: string | null; detail: string | null; made: string | null }[];
  /** The filter may find others: ask again. */
  more: boolean;
}

export interface EventPage {
  events: { id: number | null; event: string; data: Record<string, unknown>; created_at: string }[];
  next: number | null;
}

export interface ChunkPage {
  chunks: { index: number; start: number; end: number | null; state: string; parts: Record<string, unknown>[] }[];
  next: number | null;
  expires_at: string | null;
}

export interface Batch {
  batch_id: string;
  status: "processing" | "completed" | "partial" | "failed" | (string & {});
  total: number;
  completed: number;
  failed: number;
  cancelled: number;
  current: number;
  progress: number;
  jobs: { job_id: string; status: JobStatus; stage: Stage; progress: number }[];
  [field: string]: unknown;
}

export interface SubmittedBatch {
  batch_id: string;
  jobs: { job_id: string; key: string }[];
  rejected: { key: string; code: string; message: string }[];
}

export interface UploadProgress {
  id: string;
  job_id: string | null;
  received_bytes: number;
  size_bytes: number | null;
  expires_at: string | null;
}

export interface UploadLimits {
  versions: string[];
  extensions: string[];
  maxSizeBytes: number | null;
}

export interface Ticket {
  ticket: string;
  /** A path on the server. */
  url: string;
  expires_at: string;
}

export interface Caller {
  owner: string;
  scopes: string[];
  credential: string;
  expires_at: string | null;
}

export interface Worker {
  id: string;
  host: string;
  version: string;
  seen_at: string;
  draining: boolean;
  cores: number;
  running: { activity: string; job_id: string | null; attempt: number; began_at: string }[];
  [field: string]: unknown;
}

export interface ExternalFields {
  external_id?: string;
  metadata?: Record<string, unknown>;
  webhook_url?: string;
  /** When nobody reports for so long, the job fails. */
  silence_seconds?: number;
}

export interface Report {
  videoId: string;
  status: "started" | "processing" | "completed" | "failed";
  /** In percent of the whole. */
  progress?: number | null;
  stage?: string | null;
  error?: string | null;
  timestamp?: string;
  metadata?: { duration?: number; chunkCount?: number; totalChunks?: number };
}

export interface ReportedStatus extends Report {
  jobId: string;
  timestamp: string;
  [field: string]: unknown;
}

export interface RecordedReport {
  outcome: "recorded" | "behind" | "repeated" | (string & {});
  status: JobStatus;
  progress: number;
  [field: string]: unknown;
}

export interface WebhookFields {
  /** Types like `job.completed`; `["*"]` is all, null all but `job.progress`. */
  events?: string[] | null;
  format?: "standard" | "cloudevents";
  description?: string;
  enabled?: boolean;
}

export interface Webhook {
  id: string;
  url: string;
  description: string;
  events: string[] | null;
  format: string;
  enabled: boolean;
  disabled_reason: string | null;
  created_at: string;
  updated_at: string;
}

export interface Delivery {
  id: string;
  webhook_id: string;
  job_id: string | null;
  type: string;
  url: string;
  status: "pending" | "delivered" | "failed" | (string & {});
  attempts: { at: string; milliseconds: number; status_code: number | null; failure: string | null }[];
  next_try_at: string | null;
  created_at: string;
  completed_at: string | null;
}

export interface Readiness {
  status: "ready" | "not_ready";
  checks: Record<string, { ok: boolean; message: string }>;
}

export type JsonObject = Record<string, any>;
