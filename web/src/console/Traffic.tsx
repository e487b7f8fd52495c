import { useMemo, useState, type ReactNode } from "react";
import { ago, bytes, number } from "../shared/format";
import { call, type Identity } from "../shared/gateway";
import { usePoll } from "../shared/usePoll";
import { Empty, Problem } from "./parts";
import type { Event, Page } from "./types";

const windows = {
  hour: { label: "1 hour", ms: 3_600_000, bars: 30 },
  day: { label: "24 hours", ms: 86_400_000, bars: 48 },
  week: { label: "7 days", ms: 7 * 86_400_000, bars: 42 },
};
type Window = keyof typeof windows;

const roads = ["sign", "redirect", "relay"] as const;
const words = { sign: "signed, straight to storage", redirect: "redirected, straight to storage", relay: "relayed through the gateway" };
const most = 20; // pages of a thousand events

/** Bodies that were taken in, by the road that they took. A signed or redirected one counts as it was declared. */
export function Traffic({ who }: { who: Identity }): ReactNode {
  const [span, setSpan] = useState<Window>("day");
  const { ms, bars } = windows[span];
  const polled = usePoll(
    async (signal) => {
      const since = new Date(Date.now() - ms).toISOString();
      const bodies: Event[] = [];
      let cursor = "";
      for (let i = 0; i < most; i++) {
        const page = await call<Page<Event>>("GET", "events", { query: { since, limit: 1000, cursor }, signal });
        bodies.push(...page.items.filter((e) => ["UploadPart", "PutObject"].includes(e.operation) && ["ok", "granted"].includes(e.outcome)));
        cursor = page.next_cursor;
        if (!cursor) return { bodies, capped: "" };
      }
      return { bodies, capped: bodies.at(-1)?.time ?? since };
    },
    span,
    30_000,
  );
  const sums = useMemo(() => (polled.data ? sum(polled.data.bodies, polled.at, ms, bars) : null), [polled.data, polled.at, ms, bars]);
  return (
    <section aria-labelledby="traffic">
      <h1 id="traffic">Traffic</h1>
      <div className="filters">
        <div role="group" aria-label="Window" className="segments">
          {(Object.keys(windows) as Window[]).map((w) => (
            <button key={w} aria-pressed={span === w} onClick={() => setSpan(w)}>
              {windows[w].label}
            </button>
          ))}
        </div>
      </div>
      <Problem error={polled.error} />
      {polled.data?.capped && <p className="small warn">More happened than this page reads: what is shown ends at {new Date(polled.data.capped).toLocaleString()}.</p>}
      {sums && sums.total === 0 && <Empty>No bodies in this time.</Empty>}
      {sums && sums.total > 0 && (
        <>
          <dl className="facts">
            {roads.map((r) => (
              <div key={r}>
                <dt>
                  <i className={"swatch " + r} /> {words[r]}
                </dt>
                <dd>{bytes(sums.byRoad[r].bytes)}</dd>
              </div>
            ))}
          </dl>
          <Bars bars={sums.bars} ms={ms} />
          <h2>Who still relays, and why</h2>
          {sums.relayers.length === 0 ? (
            <Empty>Nobody. Every body went straight to storage.</Empty>
          ) : (
            <div className="table" tabIndex={0} role="region" aria-label="Who still relays">
              <table>
                <thead>
                  <tr>
                    {who.operator && <th scope="col">Tenant</th>}
                    <th scope="col">Client</th>
                    <th scope="col">Why</th>
                    <th scope="col" className="right">
                      Bodies
                    </th>
                    <th scope="col" className="right">
                      Bytes
                    </th>
                    <th scope="col">Last</th>
                  </tr>
                </thead>
                <tbody>
                  {sums.relayers.map((r) => (
                    <tr key={r.id}>
                      {who.operator && <td>{r.tenant}</td>}
                      <td title={r.agent}>{clientOf(r.agent)}</td>
                      <td>{because[r.reason] ?? r.reason}</td>
                      <td className="right">{number(r.count)}</td>
                      <td className="right">{bytes(r.bytes)}</td>
                      <td>{ago(r.last)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
    </section>
  );
}

const because: { [reason: string]: string } = {
  default: "did not ask for another road: partway exec, agent or a shim would",
  "client-asked": "asked for it",
  token: "its token allows nothing else",
  policy: "its token does not allow the redirect that was asked for",
  "same-host": "storage has the gateway's own host name",
  "aws-chunked": "its bodies are aws-chunked",
  "unsignable-header": "sends a header that a URL cannot carry",
  slow: "the decision took too long",
  identity: "there were no credentials to sign with",
};

/** "aws-cli/2.9.19" of a long User-Agent. */
const clientOf = (agent: string): string => agent.split(" ").slice(0, 1).join(" ") || "unnamed";

type Sum = { bytes: number; count: number };
type Bar = { from: number; sign: number; redirect: number; relay: number };
type Relayer = { id: string; tenant: string; agent: string; reason: string; count: number; bytes: number; last: string };

function sum(events: Event[], now: number, ms: number, bars: number): { total: number; byRoad: { [road: string]: Sum } & Record<(typeof roads)[number], Sum>; bars: Bar[]; relayers: Relayer[] } {
  const byRoad = { sign: { bytes: 0, count: 0 }, redirect: { bytes: 0, count: 0 }, relay: { bytes: 0, count: 0 } } as { [road: string]: Sum } & Record<(typeof roads)[number], Sum>;
  const width = ms / bars;
  const out: Bar[] = Array.from({ length: bars }, (_, i) => ({ from: now - ms + i * width, sign: 0, redirect: 0, relay: 0 }));
  const relayers = new Map<string, Relayer>();
  let total = 0;
  for (const e of events) {
    const road = roads.find((r) => r === e.road);
    if (!road) continue;
    const n = e.bytes || e.bytes_declared || 0;
    total++;
    byRoad[road].bytes += n;
    byRoad[road].count++;
    const bar = out[Math.min(bars - 1, Math.max(0, Math.floor((new Date(e.time).getTime() - (now - ms)) / width)))]!;
    bar[road] += n;
    if (road === "relay") {
      const id = [e.tenant, clientOf(e.user_agent ?? ""), e.reason].join("\n");
      const r = relayers.get(id) ?? { id, tenant: e.tenant, agent: e.user_agent ?? "", reason: e.reason ?? "", count: 0, bytes: 0, last: e.time };
      relayers.set(id, { ...r, count: r.count + 1, bytes: r.bytes + n, last: e.time });
    }
  }
  return { total, byRoad, bars: out, relayers: [...relayers.values()].sort((a, b) => b.bytes - a.bytes) };
}

function Bars({ bars, ms }: { bars: Bar[]; ms: number }): ReactNode {
  const top = Math.max(1, ...bars.map((b) => b.sign + b.redirect + b.relay));
  const label = (t: number): string =>
    new Date(t).toLocaleString("en-GB", ms > 86_400_000 ? { weekday: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" });
  const direct = bars.reduce((n, b) => n + b.sign + b.redirect, 0);
  const relayed = bars.reduce((n, b) => n + b.relay, 0);
  return (
    <figure className="bars">
      <svg viewBox={`0 0 ${bars.length * 10} 100`} preserveAspectRatio="none" role="img" aria-label={`Bytes over time: ${bytes(direct)} went straight to storage, ${bytes(relayed)} through the gateway.`}>
        {bars.map((b, i) => {
          let y = 100;
          return roads.map((r) => {
            const h = (b[r] / top) * 98;
            y -= h;
            return h > 0 ? (
              <rect key={i + r} className={r} x={i * 10 + 1} y={y} width={8} height={Math.max(h, 0.6)}>
                <title>
                  {label(b.from)}: {bytes(b[r])} {words[r]}
                </title>
              </rect>
            ) : null;
          });
        })}
      </svg>
      <figcaption className="small quiet">
        <span>{label(bars[0]!.from)}</span>
        <span>most: {bytes(top)}</span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
