// Files out of a drop or a picker, with the path that each had in its folder and, where the browser gives one, a handle that opens it again.

export type Found = { file: File; path: string; handle?: FileSystemFileHandle };

type HandleItem = DataTransferItem & { getAsFileSystemHandle?: () => Promise<FileSystemHandle | null> };

/** Must be called in the drop's own event: the browser takes the items away after it. */
export async function dropped(items: DataTransferItemList): Promise<Found[]> {
  const sources = [...items]
    .filter((item) => item.kind === "file")
    .map((item) => {
      const handle = (item as HandleItem).getAsFileSystemHandle?.();
      return { handle, entry: item.webkitGetAsEntry(), file: item.getAsFile() };
    });
  const found: Found[] = [];
  for (const { handle, entry, file } of sources) {
    const h = await handle?.catch(() => null);
    if (h) await walkHandle(h, "", found);
    else if (entry) await walkEntry(entry, "", found);
    else if (file) found.push({ file, path: file.name });
  }
  return found;
}

async function walkHandle(handle: FileSystemHandle, under: string, found: Found[]): Promise<void> {
  if (handle.kind === "file") {
    const h = handle as FileSystemFileHandle;
    found.push({ file: await h.getFile(), path: under + handle.name, handle: h });
    return;
  }
  const folder = handle as FileSystemDirectoryHandle & { values(): AsyncIterable<FileSystemHandle> };
  for await (const child of folder.values()) await walkHandle(child, `${under}${handle.name}/`, found);
}

async function walkEntry(entry: FileSystemEntry, under: string, found: Found[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ file, path: under + entry.name });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader gives a hundred at a time.
    const children = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (children.length === 0) return;
    for (const child of children) await walkEntry(child, `${under}${entry.name}/`, found);
  }
}

export const picked = (list: FileList): Found[] => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** Opens a remembered file again. null if the browser or its user does not let us. Must be called in an event of the user's. */
export async function reopen(handle: FileSystemFileHandle): Promise<File | null> {
  const h = handle as FileSystemFileHandle & { requestPermission?: (o: { mode: "read" }) => Promise<PermissionState> };
  try {
    if ((await h.requestPermission?.({ mode: "read" })) !== "granted") return null;
    return await h.getFile();
  } catch {
    return null;
  }
}
