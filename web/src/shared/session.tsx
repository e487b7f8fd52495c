import { useEffect, useState, type FormEvent, type ReactNode } from "react";
import { needsToken, sentence, type Failure } from "./failure";
import { duration } from "./format";
import { setToken, whoAmI, type Identity } from "./gateway";
import { begin, configured, finish, type Provider } from "./oidc";

const remembered = "partway-token";

type Props = { page: "upload" | "console"; children: (who: Identity, signOut: () => void) => ReactNode };

/** Shows its children to who is signed in. The token lives in this tab's memory, and in the browser's storage only if that is asked for. */
export function Session({ page, children }: Props): ReactNode {
  const [who, setWho] = useState<Identity | null>(null);
  const [provider, setProvider] = useState<Provider | null>(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(true);

  const signIn = async (token: string, remember: boolean, from?: Provider): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      const id = await whoAmI(token);
      setToken(token);
      if (remember) localStorage.setItem(remembered, token);
      setWho(id);
    } catch (error) {
      localStorage.removeItem(remembered);
      setProblem(from && needsToken(error) ? notLetIn(from, error) : sentence(error));
    } finally {
      setBusy(false);
    }
  };

  useEffect(() => {
    void (async () => {
      const p = await configured();
      setProvider(p);
      try {
        const theirs = p && (await finish(p));
        const token = theirs ?? localStorage.getItem(remembered);
        if (token) return await signIn(token, false, theirs ? p : undefined);
      } catch (error) {
        setProblem(sentence(error));
      }
      setBusy(false);
    })();
  }, []);

  const leave = async (to: Provider): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      await begin(to);
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
    }
  };

  const signOut = (): void => {
    localStorage.removeItem(remembered);
    setToken(null);
    setWho(null);
  };

  if (who) return children(who, signOut);
  return (
    <main className="signin">
      <Mark />
      <h1>{page === "upload" ? "Upload files" : "Console"}</h1>
      <p className="quiet">
        {page === "upload"
          ? "Files go straight from this page to storage, in parts, and go on where they stopped."
          : "Uploads, their parts and events, and the tokens that made them."}
      </p>
      <SignIn busy={busy} problem={problem} onToken={signIn} onLeave={leave} provider={provider} />
    </main>
  );
}

/** Who the provider vouches for may still be nobody to this gateway: no role fits. */
const notLetIn = (from: Provider, error: unknown): string =>
  `You are signed in at ${new URL(from.issuer).hostname}, but that does not let you in here (${(error as Failure).message}). Whoever runs this gateway can give you a role.`;

type SignInProps = { busy: boolean; problem: string; provider: Provider | null; onToken: (token: string, remember: boolean) => Promise<void>; onLeave: (to: Provider) => Promise<void> };

function SignIn({ busy, problem, provider, onToken, onLeave }: SignInProps): ReactNode {
  const [token, setTyped] = useState("");
  const [remember, setRemember] = useState(false);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const clean = token.trim();
    setTyped("");
    void onToken(clean, remember);
  };
  return (
    <form className="card" onSubmit={submit}>
      {provider && (
        <>
          <button type="button" className="primary wide" disabled={busy} onClick={() => void onLeave(provider)}>
            Sign in with {new URL(provider.issuer).hostname}
          </button>
          <p className="or">or</p>
        </>
      )}
      <label htmlFor="token">Bearer token</label>
      <textarea
        id="token" rows={4} value={token} onChange={(e) => setTyped(e.target.value)} autoComplete="off" spellCheck={false} required
        aria-describedby="token-help" placeholder="eyJhbGciOi…"
      />
      <p id="token-help" className="quiet small">
        Whoever runs this gateway issues it. It is kept in this tab's memory until you close or reload the page.
      </p>
      <label className="check">
        <input type="checkbox" checked={remember} onChange={(e) => setRemember(e.target.checked)} /> Remember it in this browser
      </label>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <button className={provider ? "wide" : "primary wide"} disabled={busy || !token.trim()}>
        {busy ? "One moment…" : "Sign in"}
      </button>
    </form>
  );
}

/** The top of both pages. */
export function Header({ who, page, signOut, children }: { who: Identity; page: "upload" | "console"; signOut: () => void; children?: ReactNode }): ReactNode {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  const left = (new Date(who.expires_at).getTime() - now) / 1000;
  return (
    <header className="top">
      <Mark />
      {children}
      <nav aria-label="Pages">
        <a href={import.meta.env.BASE_URL} aria-current={page === "upload" ? "page" : undefined}>
          Upload
        </a>
        <a href={import.meta.env.BASE_URL + "console"} aria-current={page === "console" ? "page" : undefined}>
          Console
        </a>
      </nav>
      <div className="who">
        <span>
          {who.tenant}
          {who.operator && who.tenant !== "operator" && <span className="tag">operator</span>}
        </span>
        <span className={left < 600 ? "small warn" : "small quiet"}>{left > 0 ? `token ends in ${duration(left)}` : "token has ended"}</span>
      </div>
      <button className="plain" onClick={signOut}>
        Sign out
      </button>
    </header>
  );
}

function Mark(): ReactNode {
  return (
    <span className="mark">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path d="M9 23V12m0 0-4 4m4-4 4 4" />
        <path d="M17 23V8m0 0-4 4m4-4 4 4" opacity=".75" />
        <path d="M25 23v-7m0 0-3 3m3-3 3 3" opacity=".5" />
      </svg>
      Partway
    </span>
  );
}
