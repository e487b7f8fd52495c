import { useState, type ReactNode } from "react";
import { ago, bytes, duration, number, time } from "../shared/format";
import { call, type Identity } from "../shared/gateway";
import { usePoll } from "../shared/usePoll";
import { Empty, Key, Pill, Problem } from "./parts";
import { standing, type Event, type Page, type Part, type Upload } from "./types";

type Whole = Upload & { ledger: Part[] };

export function Detail({ id, who }: { id: string; who: Identity }): ReactNode {
  const polled = usePoll((signal) => call<Whole>("GET", "uploads/" + encodeURIComponent(id), { signal }), id, 3000);
  const [failed, setFailed] = useState<unknown>(null);
  const u = polled.data;
  if (!u) {
    return (
      <section>
        <Back />
        <Problem error={polled.error} />
        {!polled.error && <Empty>One moment…</Empty>}
      </section>
    );
  }
  const open = ["open", "paused"].includes(u.state);
  const abort = async (): Promise<void> => {
    if (!confirm(`End the upload of ${u.key}? What has landed of it is deleted.`)) return;
    try {
      await call("DELETE", `s3/multipart/${encodeURIComponent(u.id)}`, { query: { key: u.key, bucket: u.bucket } });
      polled.again();
    } catch (error) {
      setFailed(error);
    }
  };
  return (
    <section aria-labelledby="upload">
      <Back />
      <div className="title">
        <h1 id="upload">
          <Key bucket={u.bucket} path={u.key} />
        </h1>
        <Pill standing={standing(u)} />
        {open && (
          <button className="danger" onClick={() => void abort()}>
            End upload
          </button>
        )}
      </div>
      <Problem error={failed ?? polled.error} />
      <dl className="facts">
        <Fact name="Tenant">{u.tenant}</Fact>
        <Fact name="Begun">
          <span title={u.created_at}>{ago(u.created_at)}</span>
        </Fact>
        {u.state === "completed" ? (
          <>
            <Fact name="Took">{duration((new Date(u.updated_at).getTime() - new Date(u.created_at).getTime()) / 1000)}</Fact>
            <Fact name="Object">
              {bytes(u.bytes)} in {number(u.parts)} {u.parts === 1 ? "part" : "parts"}
            </Fact>
          </>
        ) : (
          <Fact name={open ? "Ends by itself" : "Changed"}>{open ? "in " + duration((new Date(u.expires_at).getTime() - Date.now()) / 1000) : ago(u.updated_at)}</Fact>
        )}
        {u.result_code && <Fact name="Last refusal">{u.result_code}</Fact>}
      </dl>
      <Strip upload={u} />
      <details className="ids">
        <summary>Identifiers</summary>
        <dl>
          <dt>Upload id</dt>
          <dd className="code">{u.id}</dd>
          {u.etag && (
            <>
              <dt>ETag</dt>
              <dd className="code">{u.etag}</dd>
            </>
          )}
          <dt>Checksums</dt>
          <dd>{u.checksum_algorithm || "none asked for"}</dd>
        </dl>
      </details>
      <Timeline id={id} begun={u.created_at} operator={who.operator} />
    </section>
  );
}

const Back = (): ReactNode => (
  <p>
    <a href="#/" className="back">
      ← All uploads
    </a>
  </p>
);

function Fact({ name, children }: { name: string; children: ReactNode }): ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const cells = 240;

/** The parts as a strip: what landed, what was granted and is not known to have, what nobody asked for yet. Many parts share a cell. */
function Strip({ upload: u }: { upload: Whole }): ReactNode {
  const done = u.state === "completed";
  const last = done ? u.parts : Math.max(0, ...u.ledger.map((p) => p.part_number));
  if (last === 0) return <Empty>{done ? "" : "No part was asked for yet."}</Empty>;
  const per = Math.ceil(last / cells);
  const strip = Array.from({ length: Math.ceil(last / per) }, () => ({ landed: 0, granted: 0 }));
  let landed = done ? u.parts : 0;
  let granted = 0;
  if (!done) {
    for (const p of u.ledger) {
      const cell = strip[Math.floor((p.part_number - 1) / per)]!;
      if (p.landed || !p.until) {
        cell.landed++;
        landed++;
      } else {
        cell.granted++;
        granted++;
      }
    }
  }
  const words = done
    ? `${number(u.parts)} parts landed`
    : `${number(landed)} landed, ${number(granted)} granted and under way, of parts up to number ${number(last)}`;
  return (
    <figure className="strip">
      <svg viewBox={`0 0 ${strip.length * 4} 24`} preserveAspectRatio="none" role="img" aria-label={words}>
        {strip.map((c, i) => {
          const kind = done || c.landed === Math.min(per, last - i * per) ? "landed" : c.granted ? "granted" : c.landed ? "some" : "none";
          return <rect key={i} className={kind} x={i * 4} y={0} width={strip.length > 120 ? 4 : 3.4} height={24} />;
        })}
      </svg>
      <figcaption className="small quiet">
        {words}
        {per > 1 && `; ${per} parts to a cell`}
      </figcaption>
    </figure>
  );
}

const eventsShown = 200;

function Timeline({ id, begun, operator }: { id: string; begun: string; operator: boolean }): ReactNode {
  const [cursors, setCursors] = useState<string[]>([""]); // of the pages up to this one
  const cursor = cursors[cursors.length - 1]!;
  const polled = usePoll((signal) => call<Page<Event>>("GET", "events", { query: { upload_id: id, limit: eventsShown, cursor }, signal }), id + " " + cursor, 5000);
  const start = new Date(begun).getTime();
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events</h2>
      <Problem error={polled.error} />
      <div className="table" tabIndex={0} role="region" aria-label="Events">
        <table>
          <thead>
            <tr>
              <th scope="col">After</th>
              <th scope="col">Operation</th>
              <th scope="col" className="right">
                Part
              </th>
              <th scope="col" className="right">
                Bytes
              </th>
              <th scope="col">Road</th>
              <th scope="col">Outcome</th>
              {operator && <th scope="col">From</th>}
            </tr>
          </thead>
          <tbody>
            {polled.data?.items.map((e) => (
              <tr key={e.id}>
                <td title={time(e.time)}>{duration((new Date(e.time).getTime() - start) / 1000)}</td>
                <td>{e.operation}</td>
                <td className="right">{e.part_number ?? ""}</td>
                <td className="right">{e.bytes || e.bytes_declared ? bytes(e.bytes || e.bytes_declared || 0) : ""}</td>
                <td>
                  {e.road === "none" ? "" : e.road} <span className="quiet small">{e.reason}</span>
                </td>
                <td className={e.status >= 400 ? "bad" : ""}>{e.outcome}</td>
                {operator && (
                  <td className="small quiet" title={e.user_agent}>
                    {e.client_address}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {(cursors.length > 1 || polled.data?.next_cursor) && (
        <div className="pages">
          <button disabled={cursors.length === 1} onClick={() => setCursors((c) => c.slice(0, -1))}>
            Earlier
          </button>
          <button disabled={!polled.data?.next_cursor} onClick={() => setCursors((c) => [...c, polled.data!.next_cursor])}>
            Later
          </button>
        </div>
      )}
    </section>
  );
}
