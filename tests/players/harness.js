// Drives one player in one <video> and keeps a diary of what a viewer and an engineer would notice.
"use strict";

const video = document.querySelector("video");
const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
const pen = canvas.getContext("2d", { willReadFrequently: true });

const diary = { complaints: [], stalls: [], firstFrame: null, lastFrame: null, pictures: new Set(), dullest: Infinity };
const tracks = [];
let menus;
let underWay = false;
let changing = false;
let signature;
const preview = document.createElement("video");
let showKeyFrame;

const ranges = (buffered) =>
  Array.from({ length: buffered.length }, (_, number) => [buffered.start(number), buffered.end(number)]);

/** Seconds that could be played from here without a gap. */
const ahead = () => {
  const here = ranges(video.buffered).find(([start, end]) => start <= video.currentTime && video.currentTime <= end);
  return here ? here[1] - video.currentTime : 0;
};

/** Seconds until the end, which a live stream has not. */
const left = () => (Number.isFinite(video.duration) ? video.duration - video.currentTime : Infinity);

const complain = (text) => diary.complaints.push(String(text).trim());
/** A player that waits although it has what it needs runs on a slow machine: no fault of the stream. One that was told to
 * change its sound throws away what it has of the old, and waits for the new. */
const stalled = () => !changing && ahead() < Math.min(0.5, left() - 0.1) && diary.stalls.push(video.currentTime);

video.addEventListener("error", () => complain(`<video> ${video.error.code}: ${video.error.message}`));
video.addEventListener("playing", () => (underWay = true));
video.addEventListener("seeking", () => (underWay = false));
video.addEventListener("waiting", () => underWay && !video.ended && stalled());

// Sound and picture are looked at one by one: what <video> calls buffered is only what both of them have.
const addSourceBuffer = MediaSource.prototype.addSourceBuffer;
MediaSource.prototype.addSourceBuffer = function (type) {
  const buffer = addSourceBuffer.call(this, type);
  tracks.push({ type, buffer });
  return buffer;
};

video.requestVideoFrameCallback(function look(_, { mediaTime }) {
  diary.firstFrame ??= mediaTime;
  diary.lastFrame = mediaTime;
  pen.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const green = new Uint8Array(data.length / 4);
  let [sum, squares] = [0, 0];
  for (let at = 0; at < green.length; at++) {
    const value = (green[at] = data[4 * at + 1]);
    sum += value;
    squares += value * value;
  }
  const mean = sum / green.length;
  diary.dullest = Math.min(diary.dullest, Math.sqrt(Math.max(0, squares / green.length - mean ** 2)));
  diary.pictures.add(green.join());
  video.requestVideoFrameCallback(look);
});

/** Resolves once `condition` holds. The caller's own time limit ends a wait that never does. */
const until = (condition) =>
  new Promise((done) => {
    const check = () => (condition() ? done() : setTimeout(check, 20));
    check();
  });

/** On a busy machine the last picture comes on the screen after the end. */
const LAST_PICTURE_MS = 3000;
const lastIsShown = () => diary.lastFrame === null || diary.lastFrame > video.duration - 0.15;
const lastPicture = () =>
  Promise.race([until(lastIsShown), new Promise((done) => setTimeout(done, LAST_PICTURE_MS))]);

/** What is to be read on the screen. */
const shown = () => {
  const cues = Array.from(video.textTracks)
    .filter((track) => track.mode === "showing")
    .flatMap((track) => Array.from(track.activeCues));
  return menus.shown ? menus.shown() : cues.map((cue) => cue.getCueAsHTML().textContent).join("\n");
};

const listener = () => {
  if (!listener.analyser) {
    const context = new AudioContext();
    listener.analyser = context.createAnalyser();
    listener.analyser.fftSize = 8192;
    context.createMediaElementSource(video).connect(listener.analyser).connect(context.destination);
  }
  return listener.analyser;
};

/** The tile's middle, leaving out what is mixed with its neighbours. */
const colorOf = async ({ url, x, y, width, height }) => {
  const sheet = Object.assign(new Image(), { crossOrigin: "anonymous", src: url });
  await sheet.decode();
  pen.drawImage(sheet, x + width / 4, y + height / 4, width / 2, height / 2, 0, 0, canvas.width, canvas.height);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = data.length / 4;
  return [0, 1, 2].map((color) => data.reduce((sum, value, at) => (at % 4 === color ? sum + value : sum), 0) / pixels);
};

/** A page loads the player that it shows and no other. */
const SCRIPTS = {
  "hls.js": "players/hls.js/dist/hls.min.js",
  shaka: "players/shaka-player/dist/shaka-player.compiled.js",
  "dash.js": "players/dashjs/dist/modern/umd/dash.all.min.js",
  "video.js": "players/video.js/dist/video.min.js",
};

const loaded = (src) =>
  new Promise((onload, onerror) =>
    document.head.append(Object.assign(document.createElement("script"), { src, onload, onerror })),
  );

/** The same address under the newest signature that the page has. */
const renewed = (url) => (signature ? url.replace(/~[^/]+/, signature) : url);

const harness = {
  /** Ready, with the first picture on the screen. */
  async open(player, url, license, pictures = true, renewable = false) {
    if (SCRIPTS[player]) await loaded(SCRIPTS[player]);
    menus = await adapters[player](video, url, { complain, stalled, license, renewed: renewable && renewed });
    await until(() => video.readyState === HTMLMediaElement.HAVE_ENOUGH_DATA && (!pictures || diary.firstFrame !== null));
  },

  async playToEnd(rate) {
    await until(() => ahead() > Math.min(2 * rate, video.duration - video.currentTime - 0.1));
    video.playbackRate = rate;
    await harness.playOn();
    await harness.seeLastPicture();
  },

  async playOn() {
    await video.play();
    await until(() => video.ended);
  },

  /** Of a film whose last picture is a moment before its end. */
  async seeLastPicture() {
    await lastPicture();
    if (lastIsShown()) return;
    video.currentTime = video.duration - 0.01; // It was played without being drawn; where the film stands it is drawn again.
    await lastPicture();
    await video.play();
    await until(() => video.ended);
  },

  /** As far as there is something, until the player is refused what follows. */
  async playUntilRefused(rate) {
    video.playbackRate = rate;
    await video.play();
    await until(() => diary.complaints.length > 0);
  },

  /** What follows is asked for under another signature. */
  async goOn(fresh) {
    signature = fresh;
    tracks.length = 0; // A player that opens it anew has other buffers.
    await menus.goOn();
    await video.play();
  },

  /** Go there, and see it move. */
  async seek(time, rate = 1) {
    video.playbackRate = rate;
    video.currentTime = time;
    await until(() => !video.seeking);
    await video.play();
    await until(() => video.currentTime > time + 0.2);
    video.pause();
  },

  async toHeight(height, rate) {
    menus.toHeight(height);
    video.playbackRate = rate;
    await video.play();
    await until(() => video.videoHeight === height);
    video.pause();
  },

  /** When the picture was taken that a viewer sees while winding past `time`. */
  async windTo(time) {
    showKeyFrame ??= menus.winding(preview);
    const seen = new Promise((done) => preview.requestVideoFrameCallback((_, { mediaTime }) => done(mediaTime)));
    showKeyFrame(time);
    return await seen;
  },

  /** The mean colour of what is shown above the seek bar at `time`, as the player knows it from the manifest. */
  preview: async (time) => colorOf(await menus.tile(time)),

  /** … or as a page knows it from a list of cues, read by the browser itself. */
  async previewFrom(url, time) {
    const track = Object.assign(document.createElement("track"), { kind: "metadata", src: url });
    const loaded = new Promise((done) => track.addEventListener("load", done));
    video.append(track);
    track.track.mode = "hidden";
    await loaded;
    const cue = [...track.track.cues].find(({ startTime, endTime }) => startTime <= time && time < endTime);
    track.remove();
    const sheet = new URL(cue.text, url);
    const [x, y, width, height] = sheet.hash.replace("#xywh=", "").split(",").map(Number);
    return await colorOf({ url: sheet.href, x, y, width, height });
  },

  texts: () => menus.texts(),

  /** Turns this text on and plays until there is something to read. */
  async showText(label) {
    menus.showText(label);
    await video.play();
    await until(() => shown() !== "");
    video.pause();
  },

  async read(time) {
    video.currentTime = time;
    await until(() => !video.seeking && shown() !== "");
    return shown();
  },

  /** Resolves once nothing is to be read there. */
  async readNothing(time) {
    video.currentTime = time;
    await until(() => !video.seeking && shown() === "");
  },

  languages: () => menus.languages(),
  toLanguage(code) {
    changing = true;
    menus.toLanguage(code);
  },

  /** Plays until it hears a tone of this pitch: the loudest frequency, give or take one line of the spectrum. */
  async hear(hertz) {
    const analyser = listener();
    const line = analyser.context.sampleRate / analyser.fftSize;
    const spectrum = new Float32Array(analyser.frequencyBinCount);
    await video.play();
    await until(() => {
      analyser.getFloatFrequencyData(spectrum);
      const loudest = Math.max(...spectrum);
      return loudest > -60 && Math.abs(spectrum.indexOf(loudest) * line - hertz) <= line;
    });
    changing = false;
    video.pause();
  },

  toSound(code, channels) {
    changing = true;
    menus.toSound(code, channels);
  },
  sound: () => menus.sound(),

  report: () => ({
    ...diary,
    pictures: diary.pictures.size,
    duration: video.duration,
    time: video.currentTime,
    ended: video.ended,
    size: [video.videoWidth, video.videoHeight],
    buffered: ranges(video.buffered),
    tracks: tracks.map(({ type, buffer }) => ({ type, buffered: ranges(buffer.buffered) })),
    soundBytes: video.webkitAudioDecodedByteCount,
  }),
};
