import { Failure } from "../shared/failure";

// A few workers take checksums, so that the page stays quick.

type Answer = { id: number; checksum?: string; error?: string };
type Waiting = { resolve: (checksum: string) => void; reject: (error: Error) => void };

const waiting = new Map<number, Waiting>();
let workers: Worker[] = [];
let next = 0;

function start(): void {
  const count = Math.min(4, Math.max(1, (navigator.hardwareConcurrency || 2) - 1));
  workers = Array.from({ length: count }, () => {
    const worker = new Worker(new URL("./checksum.worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", (event: MessageEvent<Answer>) => {
      const { id, checksum, error } = event.data;
      const w = waiting.get(id);
      waiting.delete(id);
      if (checksum !== undefined) w?.resolve(checksum);
      else w?.reject(new Failure("FileChanged", error ?? ""));
    });
    worker.addEventListener("error", () => {
      for (const w of waiting.values()) w.reject(new Failure("Internal", "The checksum worker did not start."));
      waiting.clear();
      workers = [];
    });
    return worker;
  });
}

/** CRC64NVME of a slice of a file, in base64. A file that changed or is gone is the Failure "FileChanged". */
export function checksum(slice: Blob): Promise<string> {
  if (workers.length === 0) start();
  const id = next++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    workers[id % workers.length]!.postMessage({ id, slice });
  });
}
