import { combine } from "../shared/crc64";
import { Failure, needsToken } from "../shared/failure";
import { call, statusOf, type Identity } from "../shared/gateway";
import { checksum } from "./checksum";
import { anotherName, backOff, partsOf, partSizeFor, sizeOfPart, sleep, Slots } from "./plan";
import { put, type Signed } from "./put";
import { forget, save, type Record } from "./records";

// One file on its way: parts in parallel straight to storage, each by a URL that is signed when it is due.

export type State = "waiting" | "asking" | "checking" | "uploading" | "paused" | "offline" | "completing" | "done" | "failed";

export type Receipt = { bucket: string; key: string; size: number; etag: string; checksum: string; checksumFrom: "storage" | "page"; uploadId: string; at: string };

type Listed = { PartNumber: number; ETag: string; Size: number; ChecksumCRC64NVME?: string };
type Created = { key: string; uploadId: string; bucket: string };
type Completed = { etag: string; size: number; checksum_crc64nvme?: string; uploadId: string };

export type Destination = { bucket: string; prefix: string };

/** Parts under way over all files. A browser opens six connections to a host, and one should stay free. */
const slots = new Slots(5);

/** How often one part is tried against a refusal that may pass; a network that is away is waited for without end. */
const tries = 8;

const algorithm = "CRC64NVME";

export class Upload {
  state: State = "waiting";
  error: unknown = null;
  receipt: Receipt | null = null;
  record: Record | null = null;
  resent = 0; // parts that had landed before and were sent again: none, unless storage lost them
  skipped = 0; // bytes that had landed before

  private landed = new Map<number, { size: number; etag: string }>();
  private sending = new Map<number, number>();
  private stop: AbortController | null = null;
  private listeners = new Set<() => void>();
  private reports: { part_number: number; content_length: number; etag: string; checksum: string }[] = [];
  private reporting: ReturnType<typeof setTimeout> | undefined;

  readonly id = crypto.randomUUID();
  readonly size: number;

  constructor(
    public file: File | null,
    public path: string, // under the destination's prefix
    readonly to: Destination,
    private readonly who: Identity,
    readonly handle?: FileSystemFileHandle,
    record?: Record,
  ) {
    this.size = record?.size ?? file!.size;
    if (record) {
      this.record = record;
      this.state = "paused";
      for (const n of Object.keys(record.checksums)) this.landed.set(Number(n), { size: sizeOfPart(record.size, record.partSize, Number(n)), etag: "" });
    }
  }

  get name(): string {
    return this.record?.key.slice(this.to.prefix.length) || this.path;
  }

  get sent(): number {
    let sum = 0;
    for (const part of this.landed.values()) sum += part.size;
    for (const bytes of this.sending.values()) sum += bytes;
    return Math.min(sum, this.size);
  }

  get landedParts(): number {
    return this.landed.size;
  }

  get active(): boolean {
    return ["checking", "uploading", "offline", "completing"].includes(this.state);
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private become(state: State): void {
    this.state = state;
    this.changed();
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }

  /** Starts, or goes on. Resolves when the upload stands still again, for whatever reason. */
  async run(replace = false): Promise<void> {
    if (this.active || this.state === "done") return;
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.error = null;
    this.become("checking");
    try {
      if (!this.file) throw new Failure("FileMissing", "");
      if (!this.record) {
        if (!replace && (await this.taken(signal))) {
          this.become("asking");
          return;
        }
        await this.create(signal);
      }
      await this.alone(this.record!.uploadId, () => this.transfer(signal));
    } catch (error) {
      if (signal.aborted) return; // pause or remove said what it is now
      this.stop.abort();
      this.sending.clear();
      this.error = error;
      if (error instanceof Failure && error.code === "NoSuchUpload" && this.record) {
        await forget(this.record.uploadId);
        this.record = null; // the next start is a new upload
        this.landed.clear();
      }
      this.become(needsToken(error) || (error instanceof Failure && error.code === "FileMissing") ? "paused" : "failed");
    }
  }

  pause(): void {
    if (!this.active || this.state === "completing") return;
    this.stop?.abort(new DOMException("paused", "AbortError"));
    this.sending.clear();
    this.become("paused");
  }

  /** Ends the upload, at storage too. */
  async remove(): Promise<void> {
    const running = this.active;
    this.stop?.abort(new DOMException("removed", "AbortError"));
    this.sending.clear();
    if (this.state === "done" || !this.record) return;
    if (running) this.become("paused");
    const { uploadId, key, bucket } = this.record;
    try {
      await call("DELETE", `s3/multipart/${encodeURIComponent(uploadId)}`, { query: { key, bucket } });
    } catch (error) {
      if (!(error instanceof Failure && error.code === "NoSuchUpload")) throw error;
    }
    await forget(uploadId);
  }

  /** Takes the file of an upload that was begun before this page was loaded. */
  async give(file: File): Promise<void> {
    const r = this.record;
    if (r && (file.size !== r.size || file.name !== r.name)) throw new Failure("OtherFile", "");
    this.file = file;
    this.changed();
  }

  keepBoth(): void {
    const before = this.path;
    for (let n = 2; this.path === before; n++) this.path = anotherName(before, n);
    this.become("waiting");
  }

  private async taken(signal: AbortSignal): Promise<boolean> {
    return (await statusOf(this.to.bucket, this.to.prefix + this.path, signal)) === 200;
  }

  private async create(signal: AbortSignal): Promise<void> {
    const file = this.file!;
    const made = await this.patiently(signal, () =>
      call<Created>("POST", "s3/multipart", {
        body: {
          filename: file.name,
          type: file.type,
          checksum_algorithm: algorithm,
          metadata: { bucket: this.to.bucket, prefix: this.to.prefix, relativePath: this.path },
        },
        signal,
      }),
    );
    this.record = {
      uploadId: made.uploadId,
      bucket: made.bucket,
      key: made.key,
      tenant: this.who.tenant,
      name: file.name,
      size: file.size,
      lastModified: file.lastModified,
      partSize: partSizeFor(file.size),
      checksums: {},
      begunAt: Date.now(),
      handle: this.handle,
    };
    await save(this.record);
  }

  /** One tab per upload: the other finds the lock taken. */
  private async alone(uploadId: string, work: () => Promise<void>): Promise<void> {
    if (!navigator.locks) return work();
    await navigator.locks.request("partway-" + uploadId, { ifAvailable: true }, async (lock) => {
      if (!lock) throw new Failure("AnotherTab", "");
      await work();
    });
  }

  private async transfer(signal: AbortSignal): Promise<void> {
    const before = Object.keys(this.record!.checksums).length > 0;
    await this.look(signal);
    if (before || this.landed.size > 0) await this.verify(signal);
    this.skipped = [...this.landed.values()].reduce((sum, p) => sum + p.size, 0);
    for (let round = 0; ; round++) {
      this.become("uploading");
      await this.sendMissing(signal);
      this.become("completing");
      clearTimeout(this.reporting); // the Complete tells more
      this.reporting = undefined;
      this.reports = [];
      await this.look(signal); // what storage says wins over what this page believes
      if (this.missing().length === 0) break;
      if (round === 2) throw new Failure("NotWhole", "storage does not keep the parts");
      this.resent += this.missing().length;
    }
    await this.complete(signal);
  }

  private missing(): number[] {
    const r = this.record!;
    return Array.from({ length: partsOf(r.size, r.partSize) }, (_, i) => i + 1).filter((n) => !this.landed.has(n));
  }

  /** ListParts: a part has landed if storage holds it, in its size, with the checksum that this page took. */
  private async look(signal: AbortSignal): Promise<void> {
    const r = this.record!;
    const listed = await this.patiently(signal, () =>
      call<Listed[]>("GET", `s3/multipart/${encodeURIComponent(r.uploadId)}`, { query: { key: r.key, bucket: r.bucket }, signal }),
    );
    this.landed.clear();
    for (const part of listed) {
      const known = r.checksums[part.PartNumber];
      const right = part.Size === sizeOfPart(r.size, r.partSize, part.PartNumber) && known !== undefined && (!part.ChecksumCRC64NVME || part.ChecksumCRC64NVME === known);
      if (right) this.landed.set(part.PartNumber, { size: part.Size, etag: part.ETag });
    }
    this.changed();
  }

  /** Holds the file against what had landed before: all of it if the file's date is another, else the first, the last and a few between. */
  private async verify(signal: AbortSignal): Promise<void> {
    const r = this.record!;
    if (this.file!.size !== r.size) throw new Failure("OtherFile", "");
    const numbers = [...this.landed.keys()].sort((a, b) => a - b);
    const stride = this.file!.lastModified === r.lastModified ? Math.max(1, Math.floor(numbers.length / 6)) : 1;
    for (const [i, n] of numbers.entries()) {
      if (i % stride !== 0 && i !== numbers.length - 1) continue;
      signal.throwIfAborted();
      if ((await checksum(this.slice(n))) !== r.checksums[n]) throw new Failure("OtherFile", "");
    }
  }

  private slice(n: number): Blob {
    const { partSize, size } = this.record!;
    const from = (n - 1) * partSize;
    return this.file!.slice(from, from + sizeOfPart(size, partSize, n));
  }

  private async sendMissing(signal: AbortSignal): Promise<void> {
    const numbers = this.missing();
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    let first: unknown;
    const lane = async (): Promise<void> => {
      for (let n = numbers.shift(); n !== undefined; n = numbers.shift()) {
        const free = await slots.take(either);
        try {
          await this.sendPart(n, either);
        } finally {
          free();
        }
      }
    };
    await Promise.all(
      Array.from({ length: 5 }, () =>
        lane().catch((error: unknown) => {
          first ??= error;
          failed.abort(error);
        }),
      ),
    );
    signal.throwIfAborted();
    if (first) throw first;
  }

  private async sendPart(n: number, signal: AbortSignal): Promise<void> {
    const r = this.record!;
    const body = this.slice(n);
    for (let attempt = 0; ; attempt++) {
      const sum = (r.checksums[n] ??= await checksum(body));
      const { requests } = await this.patiently(signal, () =>
        call<{ requests: Signed[] }>("POST", "sign", {
          body: {
            bucket: r.bucket,
            key: r.key,
            upload_id: r.uploadId,
            parts: [{ part_number: n, content_length: body.size, headers: { "x-amz-checksum-crc64nvme": sum } }],
          },
          signal,
        }),
      );
      try {
        const etag = await put(requests[0]!, body, signal, (sent) => {
          this.sending.set(n, sent);
          this.changed();
        });
        this.landed.set(n, { size: body.size, etag: etag ?? "" });
        this.sending.delete(n);
        if (etag) this.report(n, body.size, etag, sum);
        void save(r);
        this.changed();
        return;
      } catch (error) {
        this.sending.delete(n);
        this.changed();
        if (!(error instanceof Failure)) throw error;
        if (error.code === "Network") {
          await this.network(error, attempt, signal);
          attempt = Math.min(attempt, 6); // waited for without end
          continue;
        }
        if (error.code === "NoSuchUpload" || attempt >= tries) throw error;
        if (error.code === "BadDigest") delete r.checksums[n]; // read it again
        await sleep(error.status === 403 && attempt < 2 ? 0 : backOff(attempt), signal); // 403: the URL ran out; the next is fresh
      }
    }
  }

  /** Tells the gateway what storage took, a few parts a call, for whoever looks at its console. Nothing depends on it. */
  private report(n: number, size: number, etag: string, sum: string): void {
    this.reports.push({ part_number: n, content_length: size, etag, checksum: "crc64nvme:" + sum });
    this.reporting ??= setTimeout(() => this.sendReports(), 2000);
    if (this.reports.length >= 50) this.sendReports();
  }

  private sendReports(): void {
    clearTimeout(this.reporting);
    this.reporting = undefined;
    const r = this.record;
    const parts = this.reports.splice(0);
    if (!r || parts.length === 0 || this.state === "done") return;
    call("POST", "landed", { body: { bucket: r.bucket, key: r.key, upload_id: r.uploadId, parts } }).catch(() => undefined);
  }

  /** After a broken connection to storage. If the gateway answers and storage keeps breaking off, it is storage, or its CORS rule, that does not let us. */
  private async network(error: Failure, attempt: number, signal: AbortSignal): Promise<void> {
    const r = this.record!;
    if (attempt >= 4 && this.landed.size === 0 && navigator.onLine) {
      await call("GET", "whoami", { signal }).then(
        () => {
          throw new Failure("Cors", error.message);
        },
        (e: unknown) => {
          if (!(e instanceof Failure) || e.code !== "Network") throw e;
        },
      );
    }
    void save(r);
    await this.waitForNetwork(attempt, signal);
  }

  private async waitForNetwork(attempt: number, signal: AbortSignal): Promise<void> {
    const before = this.state;
    if (attempt > 0) this.become("offline");
    if (!navigator.onLine) {
      await new Promise<void>((resolve) => {
        addEventListener("online", () => resolve(), { once: true });
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    await sleep(backOff(Math.min(attempt, 4)), signal);
    if (this.state === "offline") this.become(before === "offline" ? "uploading" : before);
  }

  /** Calls the gateway until it answers: a network that is away and a gateway that is busy are waited for. */
  private async patiently<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Failure)) throw error;
        if (error.code === "Network") {
          await this.waitForNetwork(attempt, signal);
        } else if (error.status >= 500 && error.status !== 501 && attempt < tries) {
          await sleep(Math.max(error.retryAfter * 1000, backOff(attempt)), signal);
        } else {
          throw error;
        }
      }
    }
  }

  private async complete(signal: AbortSignal): Promise<void> {
    const r = this.record!;
    const numbers = [...this.landed.keys()].sort((a, b) => a - b);
    const parts = numbers.map((n) => ({ PartNumber: n, ETag: this.landed.get(n)!.etag, ChecksumCRC64NVME: r.checksums[n] }));
    // The same list gets the same answer, so a lost answer is asked for again.
    const made = await this.patiently(signal, () =>
      call<Completed>("POST", `s3/multipart/${encodeURIComponent(r.uploadId)}/complete`, { query: { key: r.key, bucket: r.bucket }, body: { parts }, signal }),
    );
    const own = combine(numbers.map((n) => ({ size: sizeOfPart(r.size, r.partSize, n), checksum: r.checksums[n]! })));
    await forget(r.uploadId);
    const told = made.checksum_crc64nvme;
    if (made.size !== r.size || (told && told !== own)) throw new Failure("NotWhole", `storage says ${told} and ${made.size} bytes, the file has ${own} and ${r.size}`);
    this.receipt = {
      bucket: r.bucket,
      key: r.key,
      size: r.size,
      etag: made.etag.replaceAll('"', ""),
      checksum: `${algorithm} ${own}`,
      checksumFrom: told ? "storage" : "page",
      uploadId: r.uploadId,
      at: new Date().toISOString(),
    };
    this.become("done");
  }
}
