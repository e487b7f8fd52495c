import { base } from "./gateway";
import { Failure } from "./failure";

// Sign-in at a provider of OpenID Connect: the authorization code flow with PKCE (RFC 7636), as RFC 9700 asks of pages.

export type Provider = { issuer: string; client_id: string; scope: string };

export async function configured(): Promise<Provider | null> {
  try {
    const response = await fetch(base + "web.json", { cache: "no-store", credentials: "omit" });
    const told = (await response.json()) as { oidc?: Provider };
    return told.oidc ?? null;
  } catch {
    return null;
  }
}

type Endpoints = { issuer: string; authorization_endpoint: string; token_endpoint: string };

/** One request of the provider's, and its JSON. A browser does not tell a provider that is away from one that does not let this page ask. */
async function ask<T>(url: string, form?: URLSearchParams): Promise<{ ok: boolean; status: number; told: Partial<T> }> {
  try {
    const response = await fetch(url, { method: form ? "POST" : "GET", body: form, credentials: "omit" });
    return { ok: response.ok, status: response.status, told: ((await response.json().catch(() => null)) ?? {}) as Partial<T> };
  } catch {
    throw new Failure("SignIn", `The sign-in service at ${new URL(url).host} cannot be reached, or does not answer this page.`);
  }
}

async function endpoints(p: Provider): Promise<Endpoints> {
  const { ok, status, told } = await ask<Endpoints>(p.issuer.replace(/\/$/, "") + "/.well-known/openid-configuration");
  if (!ok || !told.authorization_endpoint || !told.token_endpoint) throw new Failure("SignIn", `The sign-in service does not say where to sign in (status ${status}).`);
  if (told.issuer !== p.issuer) throw new Failure("SignIn", `The sign-in service calls itself ${told.issuer}, not ${p.issuer}.`); // OpenID Connect Discovery, 4.3
  return told as Endpoints;
}

const base64url = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));

const key = "partway-sign-in";
const here = (): string => location.origin + location.pathname;

/** What this tab remembers while its person is at the provider: what the challenge was made of, and the view that they left. */
type Begun = { verifier: string; state: string; view: string };

export async function begin(p: Provider): Promise<void> {
  const { authorization_endpoint } = await endpoints(p);
  const verifier = random();
  const state = random();
  sessionStorage.setItem(key, JSON.stringify({ verifier, state, view: location.hash } satisfies Begun));
  const challenge = base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
  const to = new URL(authorization_endpoint);
  for (const [name, value] of Object.entries({
    response_type: "code", client_id: p.client_id, redirect_uri: here(), scope: p.scope, state, code_challenge: challenge, code_challenge_method: "S256",
  })) {
    to.searchParams.set(name, value);
  }
  location.assign(to);
}

/** Exchanges the code that the provider sent back with, and takes it out of the address at once. The ID token, or null if nobody came back. */
export async function finish(p: Provider): Promise<string | null> {
  const came = new URLSearchParams(location.search);
  if (!came.has("state")) return null;
  const begun = JSON.parse(sessionStorage.getItem(key) ?? "null") as Begun | null;
  sessionStorage.removeItem(key);
  history.replaceState(null, "", here() + (begun?.view ?? ""));
  if (!begun || came.get("state") !== begun.state) throw new Failure("SignIn", "The sign-in was not begun by this page. Begin it here.");
  const code = came.get("code");
  if (!code) throw new Failure("SignIn", "The sign-in was refused: " + (came.get("error_description") ?? came.get("error") ?? "no reason given"));
  const { token_endpoint } = await endpoints(p);
  const { ok, status, told } = await ask<{ id_token: string; error_description: string }>(
    token_endpoint,
    new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: here(), client_id: p.client_id, code_verifier: begun.verifier }),
  );
  if (!ok || !told.id_token) throw new Failure("SignIn", "The sign-in service gave no token: " + (told.error_description ?? `status ${status}`));
  return told.id_token;
}
