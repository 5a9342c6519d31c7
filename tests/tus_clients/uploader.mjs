// tus-js-client, told what to do by lines of JSON, and telling what happens by lines of JSON: one process for all tests.
//   {name, start: {endpoint, file, options, pauseAt}}   pauseAt: stop by itself when so many bytes were sent
//   {name, do: "pause" | "resume" | "terminate"}
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import * as tus from "tus-js-client";

const uploads = new Map();
const tell = (name, event, more = {}) => console.log(JSON.stringify({ name, event, ...more }));

function start(name, { endpoint, file, options = {}, pauseAt }) {
  // Of what is piped nobody knows how long it will be.
  const source = options.uploadLengthDeferred ? createReadStream(file).pipe(new PassThrough()) : createReadStream(file);
  let jobId = null;
  let hasPaused = false;
  const requests = [];
  const upload = new tus.Upload(source, {
    endpoint,
    retryDelays: [0, 100, 300, 1000, 1000, 1000, 1000, 1000, 1000, 1000],
    ...options,
    onProgress(sent, total) {
      tell(name, "progress", { sent, total });
      if (pauseAt != null && sent >= pauseAt && !hasPaused) {
        hasPaused = true;
        upload.abort().then(() => tell(name, "paused", { url: upload.url }));
      }
    },
    onUploadUrlAvailable: () => tell(name, "url", { url: upload.url }),
    onAfterResponse(request, response) {
      requests.push(`${request.getMethod()} ${response.getStatus()}`);
      jobId = response.getHeader("X-Job-ID") ?? jobId;
    },
    onSuccess: () => tell(name, "success", { url: upload.url, jobId, requests }),
    onError(error) {
      const response = error.originalResponse;
      tell(name, "error", {
        message: error.message, status: response?.getStatus(), body: response?.getBody(), requests,
      });
    },
  });
  uploads.set(name, upload);
  upload.start();
}

const commands = {
  pause: (upload, name) => upload.abort().then(() => tell(name, "paused", { url: upload.url })),
  resume: (upload) => upload.start(),
  terminate: (upload, name) => upload.abort(true).then(() => tell(name, "terminated", { url: upload.url })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { name, start: what, do: command } = JSON.parse(line);
  if (what) start(name, what);
  else commands[command](uploads.get(name), name);
}
process.exit(0);
