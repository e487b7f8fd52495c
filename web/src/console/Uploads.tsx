import { useState, type ReactNode } from "react";
import { ago, bytes, number } from "../shared/format";
import { call, type Identity } from "../shared/gateway";
import { usePoll } from "../shared/usePoll";
import { Empty, Key, Pill, Problem } from "./parts";
import { standing, underWay, type Page, type Upload } from "./types";

const filters = {
  all: { label: "All", state: "", stalled: "" },
  open: { label: "Open", state: underWay, stalled: "false" },
  stalled: { label: "Stalled", state: underWay, stalled: "true" },
  completed: { label: "Completed", state: "completed", stalled: "" },
  failed: { label: "Failed", state: "superseded,unknown", stalled: "" },
  aborted: { label: "Aborted", state: "aborting,aborted", stalled: "" },
};
type Filter = keyof typeof filters;

const pageSize = 50;

export function Uploads({ who }: { who: Identity }): ReactNode {
  const [filter, setFilter] = useState<Filter>("all");
  const [prefix, setPrefix] = useState("");
  const [tenant, setTenant] = useState("");
  const [cursors, setCursors] = useState<string[]>([""]); // of the pages up to this one
  const at = cursors[cursors.length - 1]!;
  const { state, stalled } = filters[filter];
  const query = { state, stalled, prefix, tenant, cursor: at, limit: pageSize, progress: "true" };
  const polled = usePoll((signal) => call<Page<Upload>>("GET", "uploads", { query, signal }), JSON.stringify(query), 5000);
  const change = (set: () => void): void => {
    set();
    setCursors([""]);
  };
  const items = polled.data?.items ?? [];
  return (
    <section aria-labelledby="uploads">
      <h1 id="uploads">Uploads</h1>
      <Waiting who={who} tenant={tenant} />
      <div className="filters">
        <div role="group" aria-label="State" className="segments">
          {(Object.keys(filters) as Filter[]).map((f) => (
            <button key={f} aria-pressed={filter === f} onClick={() => change(() => setFilter(f))}>
              {filters[f].label}
            </button>
          ))}
        </div>
        <input aria-label="Keys that begin with" placeholder="Keys that begin with…" value={prefix} onChange={(e) => change(() => setPrefix(e.target.value))} spellCheck={false} />
        {who.operator && <input aria-label="Tenant" placeholder="Tenant" value={tenant} onChange={(e) => change(() => setTenant(e.target.value.trim()))} spellCheck={false} />}
      </div>
      <Problem error={polled.error} />
      {polled.data && items.length === 0 ? (
        <Empty>
          {cursors.length === 1 && filter === "all" && !prefix && !tenant ? "No uploads yet. They show here as soon as one begins." : polled.data.next_cursor ? "None on this page." : "None."}
        </Empty>
      ) : (
        <div className="table" tabIndex={0} role="region" aria-label="Uploads">
          <table aria-busy={!polled.data}>
            <thead>
              <tr>
                <th scope="col">Key</th>
                {who.operator && <th scope="col">Tenant</th>}
                <th scope="col">State</th>
                <th scope="col" className="right">
                  Parts
                </th>
                <th scope="col" className="right">
                  Bytes
                </th>
                <th scope="col">Begun</th>
              </tr>
            </thead>
            <tbody>
              {items.map((u) => (
                <tr key={u.id}>
                  <th scope="row">
                    <a href={"#/uploads/" + encodeURIComponent(u.id)}>
                      <Key bucket={u.bucket} path={u.key} />
                    </a>
                  </th>
                  {who.operator && <td>{u.tenant}</td>}
                  <td>
                    <Pill standing={standing(u)} />
                    {u.result_code && u.state !== "completed" && <span className="small warn code-note"> {u.result_code}</span>}
                  </td>
                  <td className="right">{u.progress ? `${number(u.progress.parts_landed)} + ${number(u.progress.parts_granted)}` : number(u.parts)}</td>
                  <td className="right">{bytes(u.progress ? u.progress.bytes_landed : u.bytes)}</td>
                  <td title={u.created_at}>{ago(u.created_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div className="pages">
        <button disabled={cursors.length === 1} onClick={() => setCursors((c) => c.slice(0, -1))}>
          Newer
        </button>
        <button disabled={!polled.data?.next_cursor} onClick={() => setCursors((c) => [...c, polled.data!.next_cursor])}>
          Older
        </button>
        <span className="quiet small">Parts of open uploads: landed + granted. Refreshed every 5 s.</span>
      </div>
    </section>
  );
}

const most = 10; // pages of a hundred that are summed up

/** What lies in open uploads, which storage charges for although no object shows it. */
function Waiting({ who, tenant }: { who: Identity; tenant: string }): ReactNode {
  const [price, setPrice] = useState("0.023");
  const polled = usePoll(
    async (signal) => {
      const sum = { uploads: 0, stalled: 0, bytes: 0, more: false };
      let cursor = "";
      for (let i = 0; i < most; i++) {
        const page = await call<Page<Upload>>("GET", "uploads", { query: { state: underWay, tenant, cursor, limit: 100, progress: "true" }, signal });
        for (const u of page.items) {
          sum.uploads++;
          sum.bytes += u.progress?.bytes_landed ?? 0;
          if (standing(u) === "stalled") sum.stalled++;
        }
        cursor = page.next_cursor;
        if (!cursor) return sum;
      }
      return { ...sum, more: true };
    },
    "waiting " + who.tenant + " " + tenant,
    30_000,
  );
  const s = polled.data;
  if (!s) return null;
  const cost = (s.bytes / 2 ** 30) * Number(price || 0);
  return (
    <dl className="facts">
      <div>
        <dt>Open</dt>
        <dd>
          {number(s.uploads)}
          {s.more && "+"}
        </dd>
      </div>
      <div>
        <dt>Stalled</dt>
        <dd className={s.stalled ? "warn" : ""}>{number(s.stalled)}</dd>
      </div>
      <div>
        <dt>Lying in open parts</dt>
        <dd>{bytes(s.bytes)}</dd>
      </div>
      <div>
        <dt>
          <label htmlFor="price">
            A month, at <span className="hidden">dollars per GiB</span>
          </label>{" "}
          $<input id="price" className="inline" inputMode="decimal" value={price} onChange={(e) => setPrice(e.target.value.replace(/[^0-9.]/g, ""))} />
          /GiB
        </dt>
        <dd>${cost.toFixed(2)}</dd>
      </div>
    </dl>
  );
}
