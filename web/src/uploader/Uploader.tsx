import { useEffect, useMemo, useRef, useState, useSyncExternalStore, type DragEvent, type ReactNode } from "react";
import { bytes, duration, number } from "../shared/format";
import type { Identity, Scope } from "../shared/gateway";
import { Header } from "../shared/session";
import { dropped, picked, type Found } from "./files";
import { Queue, shown, Speed } from "./queue";
import { Row } from "./Row";
import type { Destination } from "./upload";

/** Where this token may write: "bucket/prefix". */
const destinations = (who: Identity): (Scope & Destination)[] =>
  who.scope
    .filter((s) => s.bucket !== "*" && (s.actions.includes("s3:PutObject") || s.actions.includes("s3:*")))
    .map((s) => ({ ...s, prefix: s.prefix === "" || s.prefix.endsWith("/") ? s.prefix : s.prefix + "/" }));

export function Uploader({ who, signOut }: { who: Identity; signOut: () => void }): ReactNode {
  const queue = useMemo(() => new Queue(who), [who]);
  useSyncExternalStore(queue.subscribe, queue.snapshot);
  const places = useMemo(() => destinations(who), [who]);
  const [chosen, setChosen] = useState(0);
  const [folder, setFolder] = useState("");
  const [bucket, setBucket] = useState(""); // of operators, whose scope names none

  useEffect(() => void queue.restore(), [queue]);
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent): void => {
      if (queue.active) event.preventDefault();
    };
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [queue]);

  const place = places[chosen];
  const clean = folder.replace(/^\/+|\/+$/g, "");
  const to: Destination | null = place
    ? { bucket: place.bucket, prefix: place.prefix + (clean && clean + "/") }
    : bucket
      ? { bucket, prefix: clean && clean + "/" }
      : null;
  const add = (found: Found[]): void => {
    if (to) queue.add(found, to);
  };
  const rows = shown(queue.uploads);
  const cannot = places.length === 0 && !who.operator;

  return (
    <>
      <Header who={who} page="upload" signOut={signOut} />
      <main className="uploader">
        <h1>Upload files</h1>
        {cannot ? (
          <p className="problem" role="alert">
            Your token allows no uploads. Ask whoever issued it for one with s3:PutObject.
          </p>
        ) : (
          <>
            <div className="where">
              <div>
                <label htmlFor="place">To</label>
                {places.length > 1 ? (
                  <select id="place" value={chosen} onChange={(e) => setChosen(Number(e.target.value))}>
                    {places.map((p, i) => (
                      <option key={i} value={i}>
                        {p.bucket}/{p.prefix}
                      </option>
                    ))}
                  </select>
                ) : place ? (
                  <output id="place" className="code">
                    {place.bucket}/{place.prefix}
                  </output>
                ) : (
                  <input id="place" value={bucket} onChange={(e) => setBucket(e.target.value.trim())} placeholder="bucket" autoCapitalize="none" spellCheck={false} />
                )}
              </div>
              <div className="grow">
                <label htmlFor="folder">Folder</label>
                <input id="folder" value={folder} onChange={(e) => setFolder(e.target.value)} placeholder="none" spellCheck={false} />
              </div>
              {place?.max_object_bytes ? <p className="quiet small limit">Up to {bytes(place.max_object_bytes)} a file.</p> : null}
            </div>
            <Drop onFiles={add} disabled={!to} />
          </>
        )}
        {queue.uploads.length > 0 && <Summary queue={queue} />}
        <ul className="files" aria-label="Files">
          {rows.map((u) => (
            <Row key={u.id} upload={u} queue={queue} />
          ))}
        </ul>
        {rows.length < queue.uploads.length && <p className="quiet">and {number(queue.uploads.length - rows.length)} more, which take their turn or are done.</p>}
      </main>
    </>
  );
}

function Drop({ onFiles, disabled }: { onFiles: (found: Found[]) => void; disabled: boolean }): ReactNode {
  const [over, setOver] = useState(false);
  const [unread, setUnread] = useState<string[]>([]);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const drop = async (event: DragEvent): Promise<void> => {
    event.preventDefault();
    setOver(false);
    if (disabled) return;
    const { found, unread } = await dropped(event.dataTransfer.items);
    setUnread(unread);
    onFiles(found);
  };
  const take = (input: HTMLInputElement): void => {
    if (input.files) onFiles(picked(input.files));
    input.value = "";
  };
  return (
    <div
      className={over ? "drop over" : "drop"}
      onDragOver={(e) => {
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(e) => void drop(e)}
    >
      <p className="lead">Drop files or folders here</p>
      <div className="pick">
        <button className="primary" disabled={disabled} onClick={() => files.current?.click()}>
          Choose files
        </button>
        <button disabled={disabled} onClick={() => folder.current?.click()}>
          Choose a folder
        </button>
      </div>
      <p className="quiet small">Any size up to 5 TiB. Parts go straight to storage; a reload or a lost network costs nothing that has landed.</p>
      {unread.length > 0 && (
        <p className="problem" role="alert">
          {unread.length === 1 ? `${unread[0]} could not be read.` : `${number(unread.length)} files or folders could not be read, among them ${unread[0]}.`}
        </p>
      )}
      <input ref={files} type="file" multiple hidden aria-label="Files" data-testid="files" onChange={(e) => take(e.target)} />
      <input ref={folder} type="file" multiple hidden aria-label="Folder" data-testid="folder" {...{ webkitdirectory: "" }} onChange={(e) => take(e.target)} />
    </div>
  );
}

function Summary({ queue }: { queue: Queue }): ReactNode {
  const speed = useRef(new Speed());
  const [rate, setRate] = useState(0);
  const total = queue.uploads.reduce((sum, u) => sum + u.size, 0);
  const sent = queue.uploads.reduce((sum, u) => sum + (u.state === "done" ? u.size : u.sent), 0);
  const latest = useRef(sent);
  latest.current = sent;
  useEffect(() => {
    const timer = setInterval(() => setRate(speed.current.at(latest.current)), 500);
    return () => clearInterval(timer);
  }, []);
  const done = queue.uploads.filter((u) => u.state === "done").length;
  const left = queue.uploads.filter((u) => u.active || u.state === "waiting").reduce((sum, u) => sum + u.size - u.sent, 0);
  return (
    <section className="summary" aria-label="Progress of all files">
      <p>
        <strong>
          {done} of {queue.uploads.length} {queue.uploads.length === 1 ? "file" : "files"}
        </strong>
        <span className="quiet">
          {bytes(sent)} of {bytes(total)}
        </span>
        {left > 0 && rate > 0 && (
          <span className="quiet">
            {bytes(rate)}/s, {duration(left / rate)} left
          </span>
        )}
      </p>
      {done > 0 && (
        <button className="plain" onClick={() => queue.clearDone()}>
          Clear finished
        </button>
      )}
      <p className="hidden" role="status">
        {done === queue.uploads.length ? "All files are uploaded." : ""}
      </p>
    </section>
  );
}
