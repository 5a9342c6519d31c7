/** It is over `giveUpSeconds` after the last word of the server. */
export class Patience {
    /** @param {number} giveUpSeconds */
    constructor(giveUpSeconds: number);
    get isOver(): boolean;
    renew(): void;
    /**
     * What the server asks for, once.
     * @param {number} seconds
     */
    hint(seconds: number): void;
    /**
     * As long as the server asked for, or longer each time.
     * @param {AbortSignal} [signal]
     */
    wait(signal?: AbortSignal): Promise<void>;
    #private;
}
