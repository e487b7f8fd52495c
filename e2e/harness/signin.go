package harness

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// What pages need of a Provider: the authorization code flow with PKCE (RFC 7636) for one public client, whose id is Audience.

type signIn struct {
	mu      sync.Mutex
	client  string             // its origin
	returns []string           // its redirect URIs
	people  map[string]string  // subject by name
	codes   map[string]consent // that were given out and not used
}

// consent is a person's, until its code is exchanged.
type consent struct{ subject, owner, returnTo, challenge string }

// LetIn registers the client: the origin of its pages, their paths, and who has an account, name to subject.
func (p *Provider) LetIn(origin string, paths []string, people map[string]string) {
	s := &p.signIn
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.returns, s.people, s.codes = origin, nil, people, map[string]consent{}
	for _, path := range paths {
		s.returns = append(s.returns, origin+path)
	}
}

// forPages lets the client's pages read what they ask for (CORS), and nobody else's.
func (p *Provider) forPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.signIn.mu.Lock()
		client := p.signIn.client
		p.signIn.mu.Unlock()
		if origin := r.Header.Get("Origin"); origin != "" && origin == client {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		next.ServeHTTP(w, r)
	})
}

// authorize is the page where a person chooses who they are; there is no password. Two more links do what goes wrong: to refuse, and to come back with
// an answer to another question.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	s, q := &p.signIn, r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	returnTo := q.Get("redirect_uri")
	if q.Get("response_type") != "code" || q.Get("client_id") != Audience || !slices.Contains(s.returns, returnTo) || q.Get("state") == "" ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
		http.Error(w, "no request that this provider takes: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	link := func(text string, answer url.Values) {
		fmt.Fprintf(w, "<p><a href=%q>%s</a></p>\n", html.EscapeString(returnTo+"?"+answer.Encode()), html.EscapeString(text))
	}
	agree := func(subject, owner string) string {
		id := rand.Text()
		s.codes[id] = consent{subject: subject, owner: owner, returnTo: returnTo, challenge: q.Get("code_challenge")}
		return id
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, "<!doctype html><title>Who are you?</title>\n")
	for _, name := range slices.Sorted(maps.Keys(s.people)) {
		link(name, url.Values{"code": {agree(s.people[name], name)}, "state": {q.Get("state")}})
		link(name+", asked by somebody else", url.Values{"code": {agree(s.people[name], name)}, "state": {rand.Text()}})
	}
	link("Do not sign in", url.Values{"error": {"access_denied"}, "error_description": {"nobody wanted to"}, "state": {q.Get("state")}})
}

// exchange gives the ID token for a code, once, to whoever knows what its challenge was made of.
func (p *Provider) exchange(w http.ResponseWriter, r *http.Request) {
	s := &p.signIn
	id := r.PostFormValue("code")
	s.mu.Lock()
	c, ok := s.codes[id]
	delete(s.codes, id)
	s.mu.Unlock()
	digest := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	answer, status := map[string]string{"error": "invalid_grant", "error_description": "the code is not for this client"}, http.StatusBadRequest
	if ok && r.PostFormValue("grant_type") == "authorization_code" && r.PostFormValue("client_id") == Audience && r.PostFormValue("redirect_uri") == c.returnTo && encode(digest[:]) == c.challenge {
		token, err := p.token(c.subject, c.owner)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, status = map[string]string{"token_type": "Bearer", "access_token": rand.Text(), "id_token": token}, http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a page that is gone needs no answer
}
