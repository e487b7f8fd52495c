import { Failure } from "../shared/failure";

/** No byte for so long, and a part is given up and sent again: the computer slept, or the line is dead and nobody said so. */
const stall = 30_000;

export type Signed = { method: string; url: string; headers: Record<string, string>; expires_at: string };

/** Sends one part to storage as it was signed. XMLHttpRequest, because fetch tells no progress of what it sends. */
export function put(signed: Signed, body: Blob, signal: AbortSignal, progress: (sent: number) => void): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let last = performance.now();
    const watch = setInterval(() => {
      if (performance.now() - last > stall) {
        last = Infinity;
        end();
        xhr.abort();
        reject(new Failure("Network", "no progress"));
      }
    }, 1000);
    const abort = (): void => {
      end();
      xhr.abort();
      reject(signal.reason);
    };
    const end = (): void => {
      clearInterval(watch);
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort, { once: true });
    xhr.open(signed.method, signed.url);
    for (const [name, value] of Object.entries(signed.headers)) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener("progress", (event) => {
      last = performance.now();
      progress(event.loaded);
    });
    xhr.addEventListener("load", () => {
      end();
      if (xhr.status >= 200 && xhr.status < 300) return resolve(xhr.getResponseHeader("etag"));
      const told = new DOMParser().parseFromString(xhr.responseText, "text/xml");
      reject(new Failure(told.querySelector("Code")?.textContent ?? "", told.querySelector("Message")?.textContent ?? `status ${xhr.status}`, xhr.status));
    });
    xhr.addEventListener("error", () => {
      end();
      reject(new Failure("Network", "the connection to storage broke"));
    });
    xhr.send(body);
  });
}
