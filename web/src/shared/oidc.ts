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

type Endpoints = { authorization_endpoint: string; token_endpoint: string };

async function endpoints(p: Provider): Promise<Endpoints> {
  const response = await fetch(p.issuer.replace(/\/$/, "") + "/.well-known/openid-configuration", { credentials: "omit" });
  if (!response.ok) throw new Failure("SignIn", `The sign-in service answers ${response.status}.`);
  return (await response.json()) as Endpoints;
}

const base64url = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));

const key = "partway-sign-in";
const here = (): string => location.origin + location.pathname;

export async function begin(p: Provider): Promise<void> {
  const { authorization_endpoint } = await endpoints(p);
  const verifier = random();
  const state = random();
  sessionStorage.setItem(key, JSON.stringify({ verifier, state }));
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
  const begun = sessionStorage.getItem(key);
  if (!begun || !came.has("state")) return null;
  sessionStorage.removeItem(key);
  history.replaceState(null, "", here());
  const { verifier, state } = JSON.parse(begun) as { verifier: string; state: string };
  if (came.get("state") !== state) throw new Failure("SignIn", "The sign-in was not begun by this page.");
  const code = came.get("code");
  if (!code) throw new Failure("SignIn", "The sign-in was refused: " + (came.get("error_description") ?? came.get("error") ?? "no reason given"));
  const { token_endpoint } = await endpoints(p);
  const response = await fetch(token_endpoint, {
    method: "POST",
    credentials: "omit",
    body: new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: here(), client_id: p.client_id, code_verifier: verifier }),
  });
  const told = (await response.json()) as { id_token?: string; error_description?: string };
  if (!response.ok || !told.id_token) throw new Failure("SignIn", told.error_description ?? `The sign-in service answers ${response.status}.`);
  return told.id_token;
}
