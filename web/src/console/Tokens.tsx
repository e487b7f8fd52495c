import { useState, type FormEvent, type ReactNode } from "react";
import { sentence } from "../shared/failure";
import { ago, bytes, duration } from "../shared/format";
import { call } from "../shared/gateway";
import { usePoll } from "../shared/usePoll";
import { Empty, Problem } from "./parts";
import type { Page, Token } from "./types";

const shown = 50;

export function Tokens(): ReactNode {
  const [tenant, setTenant] = useState("");
  const [ended, setEnded] = useState(false);
  const [page, setPage] = useState(0);
  const [failed, setFailed] = useState<unknown>(null);
  const [issuing, setIssuing] = useState(false);
  const polled = usePoll((signal) => call<Page<Token>>("GET", "tokens", { query: { tenant }, signal }), tenant, 10_000);
  const now = Date.now();
  const live = (t: Token): boolean => !t.revoked_at && new Date(t.expires_at).getTime() > now;
  const all = (polled.data?.items ?? []).filter((t) => ended || live(t));
  const items = all.slice(page * shown, (page + 1) * shown);
  const revoke = async (t: Token): Promise<void> => {
    if (!confirm(`Revoke the token of ${t.subject || t.tenant}? It ends on every gateway within seconds.`)) return;
    try {
      setFailed(null);
      await call("POST", `tokens/${encodeURIComponent(t.id)}/revoke`);
      polled.again();
    } catch (error) {
      setFailed(error);
    }
  };
  return (
    <section aria-labelledby="tokens">
      <div className="title">
        <h1 id="tokens">Tokens</h1>
        <button className="primary" aria-expanded={issuing} onClick={() => setIssuing(!issuing)}>
          Issue a token
        </button>
      </div>
      {issuing && <Issue onIssued={polled.again} />}
      <div className="filters">
        <input aria-label="Tenant" placeholder="Tenant" value={tenant} onChange={(e) => (setTenant(e.target.value.trim()), setPage(0))} spellCheck={false} />
        <label className="check">
          <input type="checkbox" checked={ended} onChange={(e) => (setEnded(e.target.checked), setPage(0))} /> Show ended and revoked ones
        </label>
      </div>
      <Problem error={failed ?? polled.error} />
      {polled.data && items.length === 0 ? (
        <Empty>No tokens here.</Empty>
      ) : (
        <div className="table" tabIndex={0} role="region" aria-label="Tokens">
          <table>
            <thead>
              <tr>
                <th scope="col">Tenant</th>
                <th scope="col">May</th>
                <th scope="col">Class</th>
                <th scope="col">Issued</th>
                <th scope="col">Ends</th>
                <th scope="col">
                  <span className="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {items.map((t) => (
                <tr key={t.id}>
                  <th scope="row">
                    {t.tenant}
                    {t.operator && <span className="tag">operator</span>}
                    {t.subject && t.subject !== t.tenant && <span className="quiet small"> {t.subject}</span>}
                  </th>
                  <td>
                    {t.scope.map((s, i) => (
                      <div key={i}>
                        <span className="code">
                          {s.bucket}/{s.prefix}
                        </span>{" "}
                        <span className="quiet small" title={s.actions.join(", ")}>
                          {s.actions.length === 1 ? s.actions[0]!.replace("s3:", "") : `${s.actions.length} actions`}
                          {s.max_object_bytes ? `, up to ${bytes(s.max_object_bytes)}` : ""}
                        </span>
                      </div>
                    ))}
                  </td>
                  <td>{t.class}</td>
                  <td title={`${t.created_at}, by ${t.issued_by}`}>{ago(t.created_at)}</td>
                  <td title={t.expires_at}>{t.revoked_at ? `revoked ${ago(t.revoked_at)}` : live(t) ? `in ${duration((new Date(t.expires_at).getTime() - now) / 1000)}` : "ended"}</td>
                  <td className="right">
                    {live(t) && (
                      <button className="plain danger" aria-label={`Revoke the token of ${t.tenant} issued ${ago(t.created_at)}`} onClick={() => void revoke(t)}>
                        Revoke
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div className="pages">
        <button disabled={page === 0} onClick={() => setPage(page - 1)}>
          Newer
        </button>
        <button disabled={(page + 1) * shown >= all.length} onClick={() => setPage(page + 1)}>
          Older
        </button>
        <span className="quiet small">{all.length} in all</span>
      </div>
    </section>
  );
}

const uploading = ["s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"];

type Issued = { id: string; tenant: string; expires_at: string; access_key_id?: string; secret_access_key?: string; bearer?: string };

function Issue({ onIssued }: { onIssued: () => void }): ReactNode {
  const [issued, setIssued] = useState<Issued | null>(null);
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const said = (name: string): string => String(form.get(name) ?? "").trim();
    const limit = Number(said("gib")) * 2 ** 30;
    setProblem("");
    try {
      setIssued(
        await call<Issued>("POST", "tokens", {
          body: {
            tenant: said("tenant"),
            class: said("class"),
            ttl_seconds: Number(said("hours")) * 3600,
            scope: [{ bucket: said("bucket"), prefix: said("prefix"), actions: uploading, ...(limit > 0 && { max_object_bytes: limit }) }],
          },
        }),
      );
      onIssued();
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  if (issued) {
    const text = issued.bearer ?? `AWS_ACCESS_KEY_ID=${issued.access_key_id}\nAWS_SECRET_ACCESS_KEY=${issued.secret_access_key}`;
    return (
      <div className="card issue" role="status">
        <p>
          For {issued.tenant}, until {new Date(issued.expires_at).toLocaleString()}. It is shown this once and kept nowhere.
        </p>
        <textarea readOnly rows={5} value={text} aria-label="The token" onFocus={(e) => e.target.select()} />
        <p className="pages">
          <button onClick={() => void navigator.clipboard.writeText(text)}>Copy</button>
          <button className="plain" onClick={() => setIssued(null)}>
            Done
          </button>
        </p>
      </div>
    );
  }
  return (
    <form className="card issue" onSubmit={(e) => void submit(e)}>
      <Field name="tenant" label="Tenant" required />
      <Field name="bucket" label="Bucket" required />
      <Field name="prefix" label="Prefix" placeholder="the whole bucket" />
      <Field name="hours" label="Hours" type="number" defaultValue="12" min="1" required />
      <Field name="gib" label="Largest object, GiB" type="number" min="0" step="any" placeholder="no limit" />
      <div>
        <label htmlFor="class">For</label>
        <select id="class" name="class" defaultValue="bearer">
          <option value="bearer">Pages and programs</option>
          <option value="key">S3 clients</option>
        </select>
      </div>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <p className="quiet small">May upload, read, list and abort below the prefix. `partway token issue` can do more.</p>
      <button className="primary">Issue</button>
    </form>
  );
}

function Field({ name, label, ...rest }: { name: string; label: string } & React.InputHTMLAttributes<HTMLInputElement>): ReactNode {
  return (
    <div>
      <label htmlFor={name}>{label}</label>
      <input id={name} name={name} autoCapitalize="none" spellCheck={false} {...rest} />
    </div>
  );
}
