import type { Identity } from "../shared/gateway";

// Uploads that were begun, remembered in this browser so that they go on after a reload. Never a token or a URL.

export type Record = {
  uploadId: string;
  bucket: string;
  key: string;
  tenant: string;
  name: string;
  size: number;
  lastModified: number;
  partSize: number;
  checksums: { [part: number]: string }; // of the file's parts, as read from it
  begunAt: number;
  handle?: FileSystemFileHandle; // where the browser can open the file again
};

const store = "uploads";

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("partway", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "uploadId" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function run<T>(mode: IDBTransactionMode, use: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = db.transaction(store, mode);
      const request = use(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    db.close();
  }
}

const changes = "BroadcastChannel" in globalThis ? new BroadcastChannel("partway-uploads") : null;

/** Tells other tabs, and this one, that the list changed. */
export function onChange(listener: () => void): () => void {
  changes?.addEventListener("message", listener);
  return () => changes?.removeEventListener("message", listener);
}

// A browser that keeps nothing (a private window) uploads all the same; it only cannot go on after a reload.

export async function save(record: Record): Promise<void> {
  try {
    await run("readwrite", (s) => s.put(record));
    changes?.postMessage("saved");
  } catch {
    /* see above */
  }
}

export async function forget(uploadId: string): Promise<void> {
  try {
    await run("readwrite", (s) => s.delete(uploadId));
    changes?.postMessage("forgotten");
  } catch {
    /* see above */
  }
}

export async function unfinished(who: Identity): Promise<Record[]> {
  try {
    const all = await run<Record[]>("readonly", (s) => s.getAll());
    return all.filter((r) => r.tenant === who.tenant).sort((a, b) => a.begunAt - b.begunAt);
  } catch {
    return [];
  }
}
