import type { Identity } from "../shared/gateway";
import type { Found } from "./files";
import { anotherName } from "./plan";
import { unfinished } from "./records";
import { Upload, type Destination } from "./upload";

/** Files under way at once; their parts share one set of slots. */
const together = 3;

/** All uploads of this tab, in the order of their coming. */
export class Queue {
  uploads: Upload[] = [];
  private listeners = new Set<() => void>();
  private version = 0;

  constructor(private readonly who: Identity) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): number => this.version;

  private changed = (): void => {
    this.version++;
    for (const listener of this.listeners) listener();
  };

  /** Shows the uploads that were begun before the page was loaded. */
  async restore(): Promise<void> {
    for (const record of await unfinished(this.who)) {
      if (this.uploads.some((u) => u.record?.uploadId === record.uploadId)) continue;
      this.put(new Upload(null, record.name, { bucket: record.bucket, prefix: "" }, this.who, record.handle, record));
    }
  }

  add(found: Found[], to: Destination): void {
    const address = (at: Destination, name: string): string => JSON.stringify([at.bucket, at.prefix + name]);
    const taken = new Set(this.uploads.filter((u) => u.state !== "failed").map((u) => address(u.to, u.name)));
    const added = found.map(({ file, path, handle }) => {
      let name = path;
      for (let n = 2; taken.has(address(to, name)); n++) name = anotherName(path, n);
      taken.add(address(to, name));
      return new Upload(file, name, to, this.who, handle);
    });
    this.put(...added);
    this.fill();
  }

  private put(...added: Upload[]): void {
    this.uploads = [...this.uploads, ...added];
    for (const upload of added) {
      upload.subscribe(() => {
        this.changed();
        this.fill();
      });
    }
    this.changed();
  }

  /** Starts what waits, while there is room. */
  private fill(): void {
    let active = this.uploads.filter((u) => u.active).length;
    for (const u of this.uploads) {
      if (active >= together) return;
      if (u.state === "waiting") {
        active++;
        void u.run();
      }
    }
  }

  async remove(upload: Upload): Promise<void> {
    await upload.remove();
    this.drop(upload);
  }

  /** Takes it off the list and leaves storage as it is. */
  drop(upload: Upload): void {
    this.uploads = this.uploads.filter((u) => u !== upload);
    this.changed();
    this.fill();
  }

  clearDone(): void {
    this.uploads = this.uploads.filter((u) => u.state !== "done");
    this.changed();
  }

  get active(): boolean {
    return this.uploads.some((u) => u.active || u.state === "waiting");
  }
}

/** Rows that a list of files has at most, however many thousands of files a folder holds. */
const mostRows = 200;

const standsBehind = (u: Upload): number => (u.state === "done" ? 2 : u.state === "waiting" ? 1 : 0);

/** What is shown of many: first what is under way or asks for something, then what waits, then what is done; in the order of their coming. */
export function shown(uploads: Upload[]): Upload[] {
  if (uploads.length <= mostRows) return uploads;
  const first = new Set([0, 1, 2].flatMap((place) => uploads.filter((u) => standsBehind(u) === place)).slice(0, mostRows));
  return uploads.filter((u) => first.has(u));
}

/** Bytes per second over the last ten seconds. */
export class Speed {
  private samples: [number, number][] = [];

  at(sent: number, now = performance.now()): number {
    this.samples.push([now, sent]);
    while (this.samples.length > 2 && now - this.samples[0]![0] > 10_000) this.samples.shift();
    const [from, before] = this.samples[0]!;
    return now - from < 500 ? 0 : Math.max(0, ((sent - before) * 1000) / (now - from));
  }
}
