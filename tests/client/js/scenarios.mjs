// What a program does with the JavaScript client, told by lines of JSON, one after the other: one process for all tests.
//   in   {call, scenario, args}            out   {call, told}, {call, result} or {call, error: {name, code, message, …}}
import { createReadStream, openAsBlob } from "node:fs";
import { createInterface } from "node:readline";

import { StreamForgeClient } from "../../../clients/js/src/index.js";

const film = (path) => openAsBlob(path, { type: "video/mp4" });

async function all(events) {
  const names = [];
  for await (const event of events) names.push(event.event);
  return names;
}

async function first(events) {
  for await (const event of events) return event.event;
}

class MemoryStorage {
  #uploads = new Map();
  async findAllUploads() {
    return [...this.#uploads.values()];
  }
  async findUploadsByFingerprint(fingerprint) {
    return [...this.#uploads.values()].filter((upload) => upload.urlStorageKey.startsWith(fingerprint));
  }
  async removeUpload(key) {
    this.#uploads.delete(key);
  }
  async addUpload(fingerprint, upload) {
    const key = `${fingerprint}::${this.#uploads.size}`;
    this.#uploads.set(key, { ...upload, urlStorageKey: key });
    return key;
  }
}
const remembered = new MemoryStorage();

const scenarios = {
  async send(client, { path }) {
    const submitted = await client.submit(await film(path), { key: "one", priority: 2, metadata: { a: 1 } }, { filename: "x.mp4" });
    const { priority, metadata } = await client.job(submitted);
    const { key: fetched } = await client.job(await client.submitUrl("https://1.1.1.1/film.mp4", { key: "by its address" }));
    const batch = await client.submitBatch([await film(path), await film(path)]);
    const { extensions } = await client.uploadLimits();
    const byPatch = await client.upload(createReadStream(path), { fields: { key: "by patch" } });
    const byPost = await client.upload(createReadStream(path), { fields: { key: "by post" }, byPost: true });
    const [patched, posted] = await client.jobs([byPatch, byPost]);
    const { received_bytes: received } = await client.uploadProgress(byPatch);
    return { fetched, priority, metadata, batch: batch.jobs.length, extensions, keys: [patched.key, posted.key], received };
  },

  async endUpload(client, { path, key }) {
    const interrupted = new AbortController();
    const onProgress = (sent) => sent > 0 && interrupted.abort(new Error("enough"));
    const sending = client.upload(createReadStream(path), { fields: { key }, onProgress, signal: interrupted.signal });
    const why = await sending.then(() => "sent", (error) => error.message);
    const [begun] = (await client.find({ key })).jobs;
    await client.endUpload(begun.id);
    return { why, status: (await client.job(begun.id)).status };
  },

  async look(client, { id, word }) {
    const found = (await client.find({ q: word, limit: 1 })).jobs.map((job) => job.id);
    const everything = [];
    for await (const job of client.findAll({ q: word })) everything.push(job.id);
    const messages = (await client.events(id)).events.map((event) => event.data.message);
    const chunks = [(await client.chunks(id)).chunks, (await client.refreshChunks(id)).chunks];
    return { found, everything, messages, chunks, logs: Array.isArray(await client.logs(id)) };
  },

  async change(client, { id, failed, completed }) {
    const paused = (await client.pause(id)).paused_at !== null;
    const resumed = (await client.resume(id)).paused_at === null;
    const { metadata } = await client.change(id, { metadata: { a: 1 } });
    const { retries } = await client.retry(failed);
    const { priority } = await client.job(await client.reprocess(failed, { priority: 1 }));
    const { results } = await client.changeMany("cancel", { ids: [id] });
    const cancelled = (await client.cancel(id)).id === id;
    await client.purge(completed);
    const gone = await client.job(completed).catch((error) => error.name);
    return { paused, resumed, metadata, retries, priority, results, cancelled, gone };
  },

  async watch(client, { completed, path }) {
    const seen = [];
    const job = await client.follow(completed, (event) => seen.push(event.event));
    const byEvents = await all(client.watch(completed, { lastEventId: "0" }));
    const byWebSocket = await all(client.watchByWebSocket({ jobId: completed, lastEventId: "0" }));
    const everything = await first(client.watchEverything({ owner: "everyone" }));
    const { batch_id: batchId } = await client.submitBatch([await film(path)]);
    const batch = [await first(client.watchBatch(batchId)), (await client.batch(batchId)).total];
    const after = await all(client.watch(completed, { lastEventId: "2" }));
    return { status: job.status, seen, byEvents, byWebSocket, everything, batch, after };
  },

  async play(client, { open, signed }) {
    const playlist = await (await client.media(open.id, "master.m3u8")).text();
    const key = (await client.contentKey(open.id, open.keyId)).length;
    const kids = (await client.license(open.id, [open.kid])).map((each) => each.kid);
    const { license } = await client.refreshPlayback(signed.id);
    const signature = license.split("/")[3];
    const signedKey = (await client.contentKey(signed.id, signed.keyId, { signature })).length;
    const signedKids = (await client.license(signed.id, [signed.kid], { signature })).map((each) => each.kid);
    return { playlist, key, kids, signedKey, signedKids };
  },

  async report(client) {
    const { id } = await client.createExternal("elsewhere.mp4", { external_id: "v-17" });
    const { outcome } = await client.report(id, { videoId: "v-17", status: "processing", progress: 40 });
    const { videoId } = await client.statusDetailed(id);
    const { events } = await client.progressHistory(id);
    return { outcome, videoId, progress: events.at(-1).progress };
  },

  async webhooks(client) {
    const { id } = await client.createWebhook("https://1.1.1.1/hook", { events: ["job.completed"] });
    const { description } = await client.changeWebhook(id, { description: "CI" });
    const same = (await client.webhooks()).map((each) => each.id).includes((await client.webhook(id)).id);
    const { secret } = await client.webhookSecret(id);
    await client.rotateWebhookSecret(id);
    const rotated = (await client.webhookSecret(id)).previous === secret;
    const sent = await client.testWebhook(id);
    const { deliveries } = await client.deliveries(id, { status: "pending" });
    const { type } = await client.redeliver(id, sent.id);
    await client.deleteWebhook(id);
    return { description, same, rotated, listed: deliveries[0].id === sent.id, type, left: (await client.webhooks()).length };
  },

  async callers(client) {
    const { owner } = await client.whoAmI();
    const { url } = await client.ticket("/jobs");
    const { expires_at: expires } = await client.signIn();
    await client.signOut();
    return { owner, url, expires };
  },

  async operate(client, { worker }) {
    return {
      unfinished: (await client.queue()).unfinished,
      workers: (await client.workers()).map((each) => each.id),
      draining: (await client.drain(worker)).draining,
      usage: (await client.usage({ owner: "root" })).owner,
      audit: (await client.audit({ limit: 1 })).entries.length,
      health: (await client.health()).status,
      checks: Object.keys((await client.ready()).checks),
      metrics: (await client.metrics()).includes("streamforge_"),
      index: "GET /jobs" in (await client.index()).endpoints,
      openapi: "/jobs" in (await client.openapi()).paths,
      documentation: (await client.documentation()).includes("<html"),
    };
  },

  // ── lines that break ──────────────────────────────────────────────────────────────────────────────────────────────
  async follow(client, { id, by }, tell) {
    const events = by === "events" ? client.watch(id) : client.watchByWebSocket({ jobId: id });
    const seen = [];
    for await (const event of events) {
      seen.push([event.event, event.id]);
      tell(event.event);
    }
    return seen;
  },

  async upload(client, { path, key }) {
    return client.upload(createReadStream(path), { fields: { key } });
  },

  async uploadInTwoGoes(client, { path, key }) {
    const interrupted = new AbortController();
    const options = { fields: { key }, urlStorage: remembered };
    const onProgress = (sent, total) => sent > total / 2 && interrupted.abort(new Error("the page is closed"));
    const why = await client
      .upload(createReadStream(path), { ...options, onProgress, signal: interrupted.signal })
      .catch((error) => error.message);
    const other = await client.upload(createReadStream(path), { ...options, fields: { key: `not ${key}` } });
    const steps = [];
    const id = await client.upload(createReadStream(path), { ...options, onProgress: (sent) => steps.push(sent) });
    return { why, other, id, first: steps[0] };
  },

  async submit(client, { path, key }) {
    return client.submit(await film(path), { key });
  },

  async stop(client, { id }, tell) {
    const stopped = new AbortController();
    for await (const event of client.watch(id, { signal: stopped.signal })) {
      tell(event.event);
      stopped.abort(new Error("enough"));
    }
  },

  async job(client, { id }) {
    return client.job(id);
  },

  methods(client) {
    return Object.getOwnPropertyNames(Object.getPrototypeOf(client)).filter((name) => name !== "constructor");
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, scenario, url, key, options, args } = JSON.parse(line);
  const say = (what) => console.log(JSON.stringify({ call, ...what }));
  const client = new StreamForgeClient(url, { apiKey: key, ...options });
  Promise.resolve()
    .then(() => scenarios[scenario](client, args, (told) => say({ told })))
    .then(
      (result) => say({ result: result ?? null }),
      ({ name, code, message, status, requestId, stack }) =>
        say({ error: { name, code, message, status, requestId, stack } }),
    );
}
process.exit(0);
