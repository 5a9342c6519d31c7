// One function per player: opens `url` in `video`, reports all that the player complains about, even what it mends by
// itself, and returns what a viewer's menus would do: `toHeight(pixels)`, `toLanguage(code)`, `toSound(code, channels)` and
// `showText(label)`; `sound()` is what is chosen, `shown()` what one reads, where that is not left to the browser. hls.js also
// shows key frames on a screen of their own: `winding(screen)`. Where a player reads sprite sheets from the manifest,
// `tile(time)` says where on which of them the picture of that time is. Where it is told how to make addresses `renewed`, a
// player has as little ahead as it can, and `goOn()` is what a page does when it has been refused something.
"use strict";

/** Of a track of dash.js: ISO/IEC 23091-3 has the number of channels for the name of a layout, up to 5.1. */
const channelsOf = (track) => Number(track.audioChannelConfiguration[0].value);

/** The key system that every browser has. */
const CLEAR_KEY = "org.w3.clearkey";

/** hls.js takes keys of the kind `identity` for those of MPEG-TS, and uses no other beside one: it must not see them. */
const withClearKey = (license) => ({
  emeEnabled: true,
  drmSystems: { [CLEAR_KEY]: { licenseUrl: license } },
  pLoader: class extends Hls.DefaultConfig.loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...rest) => {
        response.data = response.data.replace(/^#EXT-X-KEY:METHOD=SAMPLE-AES,URI="[^"]*"\n/gm, "");
        callbacks.onSuccess(response, ...rest);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  },
});

const withAddresses = (renewed) => ({
  maxBufferLength: 1,
  maxMaxBufferLength: 1,
  xhrSetup: (xhr, url) => xhr.open("GET", renewed(url), true),
});

const adapters = {
  "hls.js": async (video, url, { complain, stalled, license, renewed }) => {
    const player = new Hls({ ...(license && withClearKey(license)), ...(renewed && withAddresses(renewed)) });
    const harmless = new Set([
      Hls.ErrorDetails.INTERNAL_ABORTED, // What a seek made superfluous is not loaded to its end.
      // Blind to edit lists, hls.js believes that a segment is two pictures later than it is; at a switch it may load
      // one twice.
      Hls.ErrorDetails.BUFFER_APPEND_NO_PROGRESS,
    ]);
    player.on(Hls.Events.ERROR, (_, error) => {
      if (error.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) stalled();
      else if (!harmless.has(error.details)) complain(`${error.details} ${error.reason ?? error.error ?? ""}`);
    });
    const parsed = new Promise((done) => player.once(Hls.Events.MANIFEST_PARSED, done));
    player.attachMedia(video);
    player.loadSource(url);
    await parsed;
    return {
      goOn: () => player.startLoad(),
      toHeight: (height) => (player.nextLevel = player.levels.findIndex((level) => level.height === height)),
      toLanguage: (code) => (player.audioTrack = player.audioTracks.findIndex((track) => track.lang === code)),
      toSound: (code, channels) =>
        (player.audioTrack = player.audioTracks.findIndex((t) => t.lang === code && t.channels === String(channels))),
      sound: () => {
        const { lang, channels } = player.audioTracks[player.audioTrack];
        return [lang, Number(channels)];
      },
      languages: () => player.audioTracks.map((track) => track.lang),
      texts: () => player.subtitleTracks.map((track) => track.name),
      showText: (label) => (player.subtitleTrack = player.subtitleTracks.findIndex((track) => track.name === label)),
      winding: (screen) => {
        const winder = player.createIFramePlayer();
        winder.on(Hls.Events.ERROR, (_, error) => complain(`winding: ${error.details} ${error.reason ?? ""}`));
        winder.attachMedia(screen);
        return (time) => winder.loadMediaAt(time);
      },
    };
  },

  shaka: async (video, url, { complain, stalled, renewed }) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener("error", ({ detail }) => complain(`${detail.code} ${detail.data}`));
    player.addEventListener("gapjumped", () => complain("jumped over a gap"));
    player.addEventListener("stalldetected", stalled);
    // Its own display of text, as with its controls.
    const screen = document.body.appendChild(document.createElement("div"));
    player.setVideoContainer(screen);
    await player.attach(video);
    if (renewed) {
      player.configure({ streaming: { bufferingGoal: 1, rebufferingGoal: 0.5 } });
      player.getNetworkingEngine().registerRequestFilter((_, request) => (request.uris = request.uris.map(renewed)));
    }
    await player.load(url);
    return {
      goOn: () => player.retryStreaming(),
      toHeight: (height) => {
        player.configure({ abr: { enabled: false } });
        player.selectVideoTrack(player.getVideoTracks().find((track) => track.height === height), true, 1);
      },
      toLanguage: (code) => player.selectAudioTrack(player.getAudioTracks().find((track) => track.language === code)),
      toSound: (code, channels) =>
        player.selectAudioTrack(
          player.getAudioTracks().find((track) => track.language === code && track.channelsCount === channels),
        ),
      sound: () => {
        const { language, channelsCount } = player.getAudioTracks().find((track) => track.active);
        return [language, channelsCount];
      },
      tile: async (time) => {
        const { uris, positionX: x, positionY: y, width, height } = await player.getThumbnails(null, time);
        return { url: uris[0], x, y, width, height };
      },
      languages: () => player.getAudioTracks().map((track) => track.language),
      texts: () => player.getTextTracks().map((track) => track.label),
      showText: (label) => player.selectTextTrack(player.getTextTracks().find((track) => track.label === label)),
      shown: () => screen.innerText,
    };
  },

  "dash.js": async (video, url, { complain, stalled, renewed }) => {
    const player = dashjs.MediaPlayer().create();
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => complain(`${error.code} ${error.message}`));
    player.on(dashjs.MediaPlayer.events.PLAYBACK_ERROR, ({ error }) => complain(`${error.code} ${error.message}`));
    player.on(dashjs.MediaPlayer.events.PLAYBACK_STALLED, stalled);
    player.updateSettings({
      debug: { logLevel: dashjs.Debug.LOG_LEVEL_WARNING },
      // When a seek abandons an early load, 5.2.1's BOLA reads the bit rate of a rendition that it has not chosen yet.
      streaming: { abr: { rules: { bolaRule: { active: false } } } },
    });
    const ready = () => new Promise((done) => player.on(dashjs.MediaPlayer.events.STREAM_INITIALIZED, done));
    if (renewed) {
      const buffer = { bufferTimeDefault: 1, bufferTimeAtTopQuality: 1, bufferTimeAtTopQualityLongForm: 1 };
      player.updateSettings({ streaming: { buffer, retryAttempts: { MediaSegment: 0 } } });
      player.addRequestInterceptor(async (request) => ({ ...request, url: renewed(request.url) }));
    }
    const initialized = ready();
    player.initialize(video, url, false);
    await initialized;
    return {
      // It gives up a presentation of which it is refused a segment.
      goOn: async () => {
        const [time, again] = [video.currentTime, ready()];
        player.attachSource(renewed(url));
        await again;
        player.seek(time);
        player.play();
      },
      toHeight: (height) => {
        player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
        const rung = player.getRepresentationsByType("video").find((rung) => rung.height === height);
        player.setRepresentationForTypeById("video", rung.id, true);
      },
      toLanguage: (code) =>
        player.setCurrentTrack(player.getTracksFor("audio").find((track) => track.lang === code)),
      toSound: (code, channels) =>
        player.setCurrentTrack(
          player.getTracksFor("audio").find((track) => track.lang === code && channelsOf(track) === channels),
        ),
      sound: () => {
        const track = player.getCurrentTrackFor("audio");
        return [track.lang, channelsOf(track)];
      },
      tile: (time) => new Promise((done) => player.provideThumbnail(time, done)),
      languages: () => player.getTracksFor("audio").map((track) => track.lang),
      texts: () => player.getTracksFor("text").map((track) => track.labels[0].text),
      showText: (label) => {
        player.setTextTrack(player.getTracksFor("text").findIndex((track) => track.labels[0].text === label));
        player.enableText(true);
      },
    };
  },

  "video.js": async (video, url, { complain }) => {
    // Its own engine, also where the browser could do it by itself.
    const player = videojs(video, { html5: { vhs: { overrideNative: true } }, preload: "auto" });
    player.on("error", () => complain(`${player.error().code} ${player.error().message}`));
    player.src({ src: url, type: url.endsWith(".mpd") ? "application/dash+xml" : "application/x-mpegURL" });
    return {};
  },

  // What the browser does by itself with an address in <video>.
  native: async (video, url) => {
    video.src = url;
    return {};
  },
};
