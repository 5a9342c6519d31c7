/** When to try again, and when no more. */

const FIRST_BACKOFF_SECONDS = 0.2;
const LONGEST_BACKOFF_SECONDS = 5;

/** It is over `giveUpSeconds` after the last word of the server. */
export class Patience {
  /** @type {number | null} */
  #hint = null;
  #backoff = FIRST_BACKOFF_SECONDS;
  #giveUpAt = 0;
  #giveUpSeconds;

  /** @param {number} giveUpSeconds */
  constructor(giveUpSeconds) {
    this.#giveUpSeconds = giveUpSeconds;
    this.renew();
  }

  get isOver() {
    return performance.now() / 1000 >= this.#giveUpAt;
  }

  renew() {
    this.#backoff = FIRST_BACKOFF_SECONDS;
    this.#giveUpAt = performance.now() / 1000 + this.#giveUpSeconds;
  }

  /**
   * What the server asks for, once.
   * @param {number} seconds
   */
  hint(seconds) {
    this.#hint = Math.min(Math.max(seconds, 0), this.#giveUpSeconds);
  }

  /**
   * As long as the server asked for, or longer each time.
   * @param {AbortSignal} [signal]
   */
  async wait(signal) {
    const seconds = this.#hint ?? this.#backoff;
    if (this.#hint === null) this.#backoff = Math.min(this.#backoff * 2, LONGEST_BACKOFF_SECONDS);
    this.#hint = null;
    await sleep(seconds, signal);
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}
