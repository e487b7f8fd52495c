package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"partway/auth"
	"partway/proxy/notify"
)

// maxURLTTL bounds how long a signed URL outlives the revocation of the token that it was made for.
const maxURLTTL = Duration(5 * time.Minute)

// maxRequestsPerSecond: the rates count in microseconds.
const maxRequestsPerSecond = 1_000_000

// check collects what is wrong, so that one run shows all of it.
type check struct {
	origin *origin
	found  []error
}

func (k *check) fail(key, format string, args ...any) {
	k.found = append(k.found, k.origin.locate(&fault{key: key, message: fmt.Sprintf(format, args...)}))
}

// require fails the key unless ok.
func (k *check) require(ok bool, key, format string, args ...any) {
	if !ok {
		k.fail(key, format, args...)
	}
}

func (k *check) oneOf(key, value string, allowed ...string) {
	k.require(slices.Contains(allowed, value), key, "%q is not one of %s", value, strings.Join(allowed, ", "))
}

func (c *Config) validate(o *origin) error {
	k := &check{origin: o}
	c.checkServer(k)
	c.checkAuth(k)
	c.checkForeign(k)
	c.checkStorage(k)
	c.checkStores(k)
	c.checkTransfers(k)
	c.checkAudit(k)
	c.checkNotifications(k)
	c.checkTracing(k)
	return errors.Join(k.found...)
}

func (c *Config) checkServer(k *check) {
	s := &c.Server
	k.address("server.listen", s.Listen)
	if s.AdminListen != "" {
		k.address("server.admin_listen", s.AdminListen)
		_, port, _ := net.SplitHostPort(s.AdminListen)
		k.require(s.AdminListen != s.Listen || port == "0", "server.admin_listen", "%s is also server.listen", s.Listen)
	}
	k.require(s.Region != "", "server.region", "empty")
	k.require((s.TLS.CertFile == "") == (s.TLS.KeyFile == ""), "server.tls", "cert_file and key_file: both or neither")
	k.require(s.Drain >= 0, "server.drain", "%v is negative", s.Drain)
	k.require(s.DrainDelay >= 0, "server.drain_delay", "%v is negative", s.DrainDelay)
	for i, domain := range s.Domains {
		k.require(domain != "" && !strings.ContainsAny(domain, "/:*"), fmt.Sprintf("server.domains[%d]", i), "%q is not a host name", domain)
	}
	for i, network := range s.TrustedProxies {
		at := fmt.Sprintf("server.trusted_proxies[%d]", i)
		p, err := auth.ParsePrefix(network)
		k.require(err == nil, at, "%v", err)
		k.require(err != nil || p.Bits() > 0, at, "%s is everybody: any client could claim any address", network)
	}
	k.require(!s.ProxyProtocol || len(s.TrustedProxies) > 0, "server.proxy_protocol", "needs trusted_proxies: nobody else may say who the client is")
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
}

func (k *check) address(key, value string) {
	if _, _, err := net.SplitHostPort(value); err != nil {
		k.fail(key, "%q is not HOST:PORT", value)
	}
}

func (c *Config) checkAuth(k *check) {
	a := &c.Auth
	k.require(a.Issuer != "", "auth.issuer", "empty")
	k.require(a.Audience != "", "auth.audience", "empty")
	if (len(a.SigningKeys) == 0) != (len(a.MasterKeys) == 0) {
		k.fail("auth", "signing_keys and master_keys: both or neither")
	} else if len(a.SigningKeys) == 0 && c.MongoDB.URI != "" {
		k.fail("auth", "signing_keys and master_keys must be set with mongodb: gateways that share it must share their keys")
	}

	kids, versions := map[string]bool{}, map[int]bool{}
	active := 0
	for i, s := range a.SigningKeys {
		at := fmt.Sprintf("auth.signing_keys[%d]", i)
		k.require(s.KID != "", at+".kid", "missing")
		k.require(!kids[s.KID], at+".kid", "%q stands twice", s.KID)
		k.require(s.File != "", at+".file", "missing")
		kids[s.KID] = true
		active += count(s.Active)
	}
	k.oneActive("auth.signing_keys", len(a.SigningKeys), active)
	active = 0
	for i, m := range a.MasterKeys {
		at := fmt.Sprintf("auth.master_keys[%d]", i)
		k.require(m.Version >= 1 && m.Version <= 255, at+".version", "%d is not within 1 to 255", m.Version)
		k.require(!versions[m.Version], at+".version", "%d stands twice", m.Version)
		// The value is a secret: say what is wrong with it without showing it.
		secret, err := base64.StdEncoding.DecodeString(m.Secret)
		k.require(err == nil && len(secret) >= auth.MinMasterBytes, at+".secret", "not the base64 of %d bytes or more", auth.MinMasterBytes)
		versions[m.Version] = true
		active += count(m.Active)
	}
	k.oneActive("auth.master_keys", len(a.MasterKeys), active)
}

func (k *check) oneActive(key string, all, active int) {
	k.require(all == 0 || active > 0, key, "none is active")
	k.require(active <= 1, key, "%d are active: one must be", active)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *Config) checkStorage(k *check) {
	s := &c.Storage
	k.require(len(s.Backends) > 0, "storage.backends", "missing: at least one")
	names := map[string]bool{}
	for i := range s.Backends {
		b := &s.Backends[i]
		at := fmt.Sprintf("storage.backends[%d]", i)
		k.require(b.Name != "", at+".name", "missing")
		k.require(!names[b.Name], at+".name", "%q stands twice", b.Name)
		names[b.Name] = true
		k.endpoint(at+".endpoint", b.Endpoint)
		if keys := (Credentials{b.AccessKeyID, b.SecretAccessKey}); keys != (Credentials{}) {
			k.credentials(at, &keys)
			k.require(b.Profile == "", at+".profile", "set beside access_key_id: one or the other")
		}
		k.putIdentity(at+".presign_put", b.PresignPut)
		k.credentials(at+".presign_get", b.PresignGet)
	}
	for _, bucket := range slices.Sorted(maps.Keys(s.Buckets)) {
		backend := s.Buckets[bucket]
		k.require(names[backend], "storage.buckets."+bucket, "no backend is named %q", backend)
	}
	k.require(s.Default == "" || names[s.Default], "storage.default", "no backend is named %q", s.Default)
	if len(s.Backends) > 0 && s.Default == "" && len(s.Buckets) == 0 {
		k.fail("storage", "neither buckets nor default: no bucket could be reached")
	}
}

func (k *check) endpoint(key, value string) {
	if value == "" {
		k.fail(key, "missing")
		return
	}
	u, err := url.Parse(value)
	plain := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
	k.require(plain, key, "%q is not http://HOST[:PORT] or https://HOST[:PORT]", value)
}

func (k *check) credentials(at string, c *Credentials) {
	if c == nil {
		return
	}
	k.require(c.AccessKeyID != "", at+".access_key_id", "missing")
	k.require(c.SecretAccessKey != "", at+".secret_access_key", "missing")
}

func (k *check) putIdentity(at string, id *PutIdentity) {
	if id == nil {
		return
	}
	if keys := (Credentials{id.AccessKeyID, id.SecretAccessKey}); keys != (Credentials{}) || id.RoleARN == "" {
		k.credentials(at, &keys)
	}
	if id.RoleARN == "" {
		k.require(id.STSEndpoint == "", at+".sts_endpoint", "set without role_arn")
		k.require(id.ExternalID == "", at+".external_id", "set without role_arn")
		return
	}
	k.require(strings.HasPrefix(id.RoleARN, "arn:"), at+".role_arn", "%q is not arn:PARTITION:iam::ACCOUNT:role/NAME", id.RoleARN)
	if id.STSEndpoint != "" {
		k.endpoint(at+".sts_endpoint", id.STSEndpoint)
	}
}

func (c *Config) checkStores(k *check) {
	switch {
	case c.MongoDB.URI != "" && c.Redis.URL == "":
		k.fail("mongodb.uri", "set without redis.url: both or neither")
	case c.MongoDB.URI == "" && c.Redis.URL != "":
		k.fail("redis.url", "set without mongodb.uri: both or neither")
	}
	k.scheme("mongodb.uri", c.MongoDB.URI, "mongodb://", "mongodb+srv://")
	k.scheme("redis.url", c.Redis.URL, "redis://", "rediss://", "unix://")
	k.require(!c.Redis.Cluster || c.Redis.URL != "", "redis.cluster", "set without redis.url")
	k.require(c.MongoDB.Database != "", "mongodb.database", "empty")
}

// scheme never shows the value: these URLs carry passwords.
func (k *check) scheme(key, value string, allowed ...string) {
	known := slices.ContainsFunc(allowed, func(s string) bool { return strings.HasPrefix(value, s) })
	k.require(value == "" || known, key, "does not begin with %s", strings.Join(allowed, " or "))
}

func (c *Config) checkNotifications(k *check) {
	names := map[string]bool{}
	for i, r := range c.Receivers() {
		at := fmt.Sprintf("notifications[%d]", i)
		if err := r.Check(); err != nil {
			k.fail(at, "%v", err)
		}
		k.require(!names[r.Name], at, "%q stands twice", r.Name)
		names[r.Name] = true
	}
}

// Receivers are the notifications in notify's words.
func (c *Config) Receivers() []notify.Receiver {
	var all []notify.Receiver
	for _, n := range c.Notifications {
		all = append(all, notify.Receiver(n))
	}
	return all
}

func (c *Config) checkTransfers(k *check) {
	k.oneOf("transfer.default", c.Transfer.Default, "relay", "redirect")
	k.require(c.Transfer.URLTTL >= Duration(time.Second), "transfer.url_ttl", "%v is under 1s", c.Transfer.URLTTL)
	k.require(c.Transfer.URLTTL <= maxURLTTL, "transfer.url_ttl", "%v is over %v", c.Transfer.URLTTL, maxURLTTL)
	k.require(c.Uploads.MaxAge >= Duration(time.Minute), "uploads.max_age", "%v is under 1m", c.Uploads.MaxAge)
	k.require(c.Sweep.Interval >= Duration(time.Second), "sweep.interval", "%v is under 1s", c.Sweep.Interval)
	k.require(c.Resume.Window >= Duration(time.Minute), "resume.window", "%v is under 1m", c.Resume.Window)
	k.require(c.Limits.XMLBytes > 0, "limits.xml_bytes", "%d is not above 0", c.Limits.XMLBytes)
	// Below this an ordinary request with a key token in it does not fit.
	k.require(c.Limits.HeaderBytes >= 8192, "limits.header_bytes", "%d is under 8192", c.Limits.HeaderBytes)
	k.require(c.Limits.MinRate >= 0, "limits.min_rate", "%d is negative", c.Limits.MinRate)
	rate := c.Limits.RequestsPerSecond
	k.require(rate >= 0 && rate <= maxRequestsPerSecond, "limits.requests_per_second", "%d is not within 0 to %d", rate, maxRequestsPerSecond)
	for i, origin := range c.CORS.Origins {
		err := auth.ValidOrigin(origin)
		k.require(err == nil, fmt.Sprintf("cors.origins[%d]", i), "%v", err)
	}
	in := &c.Web.SignIn
	k.require((in.Issuer == "") == (in.ClientID == ""), "web.sign_in.client_id", "issuer and client_id go together")
	known := slices.ContainsFunc(c.Auth.Issuers, func(i Issuer) bool { return i.Issuer == in.Issuer && slices.Contains(i.Audiences, in.ClientID) })
	k.require(in.Issuer == "" || known, "web.sign_in.issuer", "none of auth.issuers has this issuer and the audience %q: nobody who signs in there would be let in", in.ClientID)
	if in.Issuer != "" && len(in.Origins) == 0 {
		in.Origins = []string{originOf(in.Issuer)}
	}
	for i, origin := range in.Origins {
		err := auth.ValidOrigin(origin)
		k.require(err == nil, fmt.Sprintf("web.sign_in.origins[%d]", i), "%v", err)
	}
	k.require(c.Limits.ConnectionsPerAddress >= 0, "limits.connections_per_address", "%d is negative", c.Limits.ConnectionsPerAddress)
	k.require(c.Limits.TenantBytes >= 0, "limits.tenant_bytes", "%d is negative", c.Limits.TenantBytes)
	k.oneOf("limits.tenant_period", c.Limits.TenantPeriod, "day", "month")
}

// originOf is the web origin of a URL, or the URL itself if it has none.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text
	}
	return u.Scheme + "://" + u.Host
}

func (c *Config) checkAudit(k *check) {
	a := &c.Audit
	k.require(a.Retention == 0 || a.Retention >= Duration(24*time.Hour), "audit.retention", "%v is under 24h: events are dropped by the day", a.Retention)
	k.require(a.AnchorInterval >= Duration(time.Second), "audit.anchor_interval", "%v is under 1s", a.AnchorInterval)
}
