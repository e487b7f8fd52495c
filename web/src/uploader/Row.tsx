import { useEffect, useRef, useState, type ReactNode } from "react";
import { sentence } from "../shared/failure";
import { bytes, duration } from "../shared/format";
import { reopen } from "./files";
import { Speed, type Queue } from "./queue";
import type { Receipt, Upload } from "./upload";

/** One file: what it is, how far it is, and what can be done about it. */
export function Row({ upload: u, queue }: { upload: Upload; queue: Queue }): ReactNode {
  const [problem, setProblem] = useState("");
  const again = useRef<HTMLInputElement>(null);
  const attempt = (work: () => Promise<unknown>) => (): void => {
    setProblem("");
    work().catch((error: unknown) => setProblem(sentence(error)));
  };
  const proceed = attempt(async () => {
    if (!u.file && u.handle) {
      const file = await reopen(u.handle);
      if (file) await u.give(file);
    }
    if (!u.file) return again.current?.click();
    await u.run();
  });
  const given = (input: HTMLInputElement): void => {
    const file = input.files?.[0];
    input.value = "";
    if (file) {
      attempt(async () => {
        await u.give(file);
        await u.run();
      })();
    }
  };
  const share = u.size === 0 ? (u.state === "done" ? 1 : 0) : u.sent / u.size;
  const said = problem || (u.error ? sentence(u.error) : "");
  return (
    <li className={"file " + u.state} data-state={u.state} data-landed={u.landedParts} data-resent={u.resent} data-skipped={u.skipped}>
      <div className="line">
        <span className="name">{u.name}</span>
        <span className="quiet small">{bytes(u.size)}</span>
        <span className="actions">
          {u.active && u.state !== "completing" && <button onClick={() => u.pause()}>Pause</button>}
          {(u.state === "paused" || (u.state === "failed" && u.record)) && (
            <button onClick={proceed} aria-label={`Continue ${u.name}`}>
              {u.file || u.handle ? "Continue" : "Choose the file again"}
            </button>
          )}
          {u.state === "failed" && !u.record && u.file && <button onClick={proceed}>Try again</button>}
          {u.state !== "done" && u.state !== "completing" && u.state !== "asking" && (
            <button className="plain" onClick={attempt(() => queue.remove(u))} aria-label={`Cancel ${u.name}`}>
              Cancel
            </button>
          )}
        </span>
      </div>
      {u.state !== "done" && u.state !== "asking" && (
        <div
          className="bar" role="progressbar" aria-label={`Progress of ${u.name}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.floor(share * 100)}
        >
          <div style={{ width: `${share * 100}%` }} />
        </div>
      )}
      {u.state === "asking" && (
        <div className="ask" role="group" aria-label={`${u.name} exists already`}>
          <p>There is a file of this name already.</p>
          <button onClick={() => void u.run(true)}>Replace it</button>
          <button onClick={() => u.keepBoth()}>Keep both</button>
          <button className="plain" onClick={() => queue.drop(u)}>
            Skip
          </button>
        </div>
      )}
      {said ? (
        <p className="problem" role="alert">
          {said}
        </p>
      ) : (
        <Status upload={u} />
      )}
      {u.receipt && <ReceiptOf receipt={u.receipt} />}
      <input ref={again} type="file" hidden aria-label={`${u.name} again`} data-testid="again" onChange={(e) => given(e.target)} />
    </li>
  );
}

function Status({ upload: u }: { upload: Upload }): ReactNode {
  const speed = useRef(new Speed());
  const [rate, setRate] = useState(0);
  useEffect(() => {
    if (u.state !== "uploading") return setRate(0);
    speed.current = new Speed();
    const timer = setInterval(() => setRate(speed.current.at(u.sent)), 500);
    return () => clearInterval(timer);
  }, [u, u.state]);
  const words: Partial<Record<Upload["state"], string>> = {
    waiting: "Waiting for its turn.",
    checking: u.record ? "Looking at what has landed…" : "Starting…",
    uploading: rate > 0 ? `${bytes(u.sent)} sent, ${bytes(rate)}/s, ${duration((u.size - u.sent) / rate)} left` : `${bytes(u.sent)} sent`,
    paused: u.file ? `Paused at ${bytes(u.sent)}.` : `${bytes(u.sent)} had landed when the page was closed. It goes on with the same file.`,
    offline: "Waiting for the network. Nothing that has landed is lost.",
    completing: "Storage is putting the parts together…",
  };
  const text = words[u.state];
  return text ? <p className="quiet small">{text}</p> : null;
}

function ReceiptOf({ receipt: r }: { receipt: Receipt }): ReactNode {
  const [copied, setCopied] = useState(false);
  const text = [
    `Key: ${r.bucket}/${r.key}`,
    `Size: ${r.size} bytes`,
    `Checksum: ${r.checksum}`,
    `ETag: ${r.etag}`,
    `Upload id: ${r.uploadId}`,
    `Completed: ${r.at}`,
  ].join("\n");
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <details className="receipt">
      <summary>
        Uploaded, {r.checksumFrom === "storage" ? "checksum confirmed by storage" : "every part verified by storage"}
      </summary>
      <dl>
        <dt>Key</dt>
        <dd className="code">
          {r.bucket}/{r.key}
        </dd>
        <dt>Size</dt>
        <dd>
          {bytes(r.size)} <span className="quiet">({r.size.toLocaleString("en")} bytes)</span>
        </dd>
        <dt>Checksum</dt>
        <dd className="code">{r.checksum}</dd>
        <dt>ETag</dt>
        <dd className="code">{r.etag}</dd>
        <dt>Upload id</dt>
        <dd className="code">{r.uploadId}</dd>
      </dl>
      <button onClick={() => void copy()}>{copied ? "Copied" : "Copy receipt"}</button>
    </details>
  );
}
