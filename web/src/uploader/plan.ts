const MiB = 1 << 20;
export const maxParts = 10_000;

/** Size of every part but the last: 8 MiB, and more only where 10,000 such parts do not suffice. */
export const partSizeFor = (size: number): number => Math.max(8, Math.ceil(size / maxParts / MiB)) * MiB;

/** How many parts a file has; an empty one has one, of no bytes. */
export const partsOf = (size: number, partSize: number): number => Math.max(1, Math.ceil(size / partSize));

/** Bytes of part number n. */
export const sizeOfPart = (size: number, partSize: number, n: number): number => Math.min(partSize, size - (n - 1) * partSize);

/** A key that is not taken: "a.txt" becomes "a (2).txt". */
export function anotherName(path: string, n: number): string {
  const dot = path.lastIndexOf(".");
  const cut = dot > path.lastIndexOf("/") + 1 ? dot : path.length;
  return `${path.slice(0, cut)} (${n})${path.slice(cut)}`;
}

/** At most `limit` at a time, first come, first served. */
export class Slots {
  private busy = 0;
  private queue: (() => void)[] = [];
  constructor(private readonly limit: number) {}

  /** Waits for a slot; what it resolves to gives it back, or on to the next. */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.busy < this.limit) {
      this.busy++;
    } else {
      await new Promise<void>((resolve, reject) => {
        const leave = (): void => {
          this.queue = this.queue.filter((entry) => entry !== enter);
          reject(signal.reason);
        };
        const enter = (): void => {
          signal.removeEventListener("abort", leave);
          resolve();
        };
        this.queue.push(enter);
        signal.addEventListener("abort", leave, { once: true });
      });
    }
    return () => {
      const next = this.queue.shift();
      if (next) next();
      else this.busy--;
    };
  }
}

/** Waits, but not past an abort. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const end = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      resolve();
    }, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

/** Half a second, doubling to half a minute, each between half and the whole of it, so that many tabs do not come back at once. */
export const backOff = (attempt: number): number => Math.min(30_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2);
