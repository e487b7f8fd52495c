// Files out of a drop or a picker, with the path that each had in its folder and, where the browser gives one, a handle that opens it again.

export type Found = { file: File; path: string; handle?: FileSystemFileHandle };

type HandleItem = DataTransferItem & { getAsFileSystemHandle?: () => Promise<FileSystemHandle | null> };

/** The files of a drop, and the paths of those that the browser could not open. Must be called in the drop's own event: the browser takes the items away after it. */
export async function dropped(items: DataTransferItemList): Promise<{ found: Found[]; unread: string[] }> {
  const sources = [...items]
    .filter((item) => item.kind === "file")
    .map((item) => {
      const handle = (item as HandleItem).getAsFileSystemHandle?.();
      return { handle, entry: item.webkitGetAsEntry(), file: item.getAsFile() };
    });
  const found: Found[] = [];
  const unread: string[] = [];
  const open: Open = async (path, work): Promise<void> => {
    try {
      await work();
    } catch {
      unread.push(path); // gone meanwhile, or not ours to read; the others are
    }
  };
  for (const { handle, entry, file } of sources) {
    const h = await handle?.catch(() => null);
    if (entry?.isDirectory) {
      const handles: Handles = new Map();
      // Without it the files are there all the same; only a reload asks for them again.
      if (h) await handlesBelow(h as FileSystemDirectoryHandle, entry.fullPath, handles).catch(() => undefined);
      await walk(entry, "", handles, found, open);
    } else if (file) {
      found.push({ file, path: file.name, handle: h?.kind === "file" ? (h as FileSystemFileHandle) : undefined });
    }
  }
  return { found, unread };
}

type Open = (path: string, work: () => Promise<void>) => Promise<void>;
type Handles = Map<string, FileSystemFileHandle>; // by an entry's fullPath

/** The handles of a folder's files. Not the files themselves: Chromium leaves out those whose names another system would not take ("why?.txt", "a:b"). */
async function handlesBelow(folder: FileSystemDirectoryHandle, path: string, handles: Handles): Promise<void> {
  for await (const child of (folder as FileSystemDirectoryHandle & { values(): AsyncIterable<FileSystemHandle> }).values()) {
    const at = `${path}/${child.name}`;
    if (child.kind === "file") handles.set(at, child as FileSystemFileHandle);
    else await handlesBelow(child as FileSystemDirectoryHandle, at, handles);
  }
}

const walk = (entry: FileSystemEntry, under: string, handles: Handles, found: Found[], open: Open): Promise<void> =>
  open(under + entry.name, async () => {
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      found.push({ file, path: under + entry.name, handle: handles.get(entry.fullPath) });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      // A reader gives a hundred at a time.
      const children = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (children.length === 0) return;
      for (const child of children) await walk(child, `${under}${entry.name}/`, handles, found, open);
    }
  });

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
