package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func jwkJSON(t testing.TB, k jose.JSONWebKey) string {
	t.Helper()
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// with adds a member to a JSON object.
func withMember(object, member string) string {
	return strings.TrimSuffix(object, "}") + "," + member + "}"
}

func TestParseJWKS(t *testing.T) {
	rsa, ec := jwkJSON(t, published("rsa", "r", "RS256")), jwkJSON(t, published("ec", "e", ""))
	long := base64.RawURLEncoding.EncodeToString(make([]byte, 40))
	private := jose.JSONWebKey{Key: testKeys()["ed"], KeyID: "d", Algorithm: "EdDSA"}
	for _, c := range []struct {
		name    string
		keys    []string
		allowed []string
		want    string // kid=algorithm, sorted; "" for an error
	}{
		{"two", []string{rsa, ec}, foreignAlgorithms, "e=ES256 r=RS256"},
		{"type binds the algorithm", []string{jwkJSON(t, published("rsa", "r", "")), jwkJSON(t, published("ed", "d", ""))}, foreignAlgorithms, "d=EdDSA r=RS256"},
		{"the first allowed one", []string{jwkJSON(t, published("rsa", "r", ""))}, []string{"ES256", "PS256", "RS256"}, "r=PS256"},
		{"algorithm that is not allowed", []string{rsa, ec}, []string{"ES256"}, "e=ES256"},
		{"algorithm of another type", []string{jwkJSON(t, published("rsa", "r", "ES256")), ec}, foreignAlgorithms, "e=ES256"},
		{"algorithm of another curve", []string{jwkJSON(t, published("ec", "x", "ES384")), rsa}, foreignAlgorithms, "r=RS256"},
		{"symmetric", []string{`{"kty":"oct","kid":"s","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0","alg":"HS256"}`, `{"kty":"oct","kid":"t","k":"c2VjcmV0"}`, ec}, foreignAlgorithms, "e=ES256"},
		{"symmetric, said to be RS256", []string{`{"kty":"oct","kid":"s","k":"c2VjcmV0","alg":"RS256"}`, ec}, foreignAlgorithms, "e=ES256"},
		{"private", []string{jwkJSON(t, private), ec}, foreignAlgorithms, "e=ES256"},
		{"for encryption", []string{strings.Replace(rsa, `"sig"`, `"enc"`, 1), ec}, foreignAlgorithms, "e=ES256"},
		{"key_ops verify", []string{withMember(rsa, `"key_ops":["verify"]`)}, foreignAlgorithms, "r=RS256"},
		{"key_ops without verify", []string{withMember(rsa, `"key_ops":["wrapKey"]`), ec}, foreignAlgorithms, "e=ES256"},
		{"no key_ops at all", []string{withMember(rsa, `"key_ops":[]`), ec}, foreignAlgorithms, "e=ES256"},
		{"short RSA", []string{jwkJSON(t, published("short", "s", "RS256")), ec}, foreignAlgorithms, "e=ES256"},
		{"unknown type", []string{`{"kty":"XYZ","kid":"x"}`, ec}, foreignAlgorithms, "e=ES256"},
		{"broken", []string{`{"kty":"RSA","kid":"x","n":"!","e":"AQAB"}`, `{"kid":1}`, `1`, `null`, ec}, foreignAlgorithms, "e=ES256"},
		{"off the curve", []string{`{"kty":"EC","crv":"P-256","kid":"x","x":"` + long[:43] + `","y":"` + long[:43] + `"}`, rsa}, foreignAlgorithms, "r=RS256"},
		{"coordinate too long", []string{`{"kty":"EC","crv":"P-256","kid":"x","x":"` + long + `","y":"` + long + `"}`, rsa}, foreignAlgorithms, "r=RS256"},
		{"no kid", []string{jwkJSON(t, published("rsa", "", "RS256")), ec}, foreignAlgorithms, "e=ES256"},
		{"kid twice names none", []string{rsa, jwkJSON(t, published("rsa2", "r", "RS256")), ec}, foreignAlgorithms, "e=ES256"},
		{"kid three times names none", []string{rsa, rsa, rsa, ec}, foreignAlgorithms, "e=ES256"},
		{"nothing of use", []string{jwkJSON(t, published("short", "s", "RS256"))}, foreignAlgorithms, ""},
		{"empty", nil, foreignAlgorithms, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := parseJWKS([]byte(`{"keys":[`+strings.Join(c.keys, ",")+`]}`), c.allowed)
			var got []string
			for _, kid := range slices.Sorted(maps.Keys(keys)) {
				got = append(got, fmt.Sprint(kid, "=", keys[kid].algorithm))
			}
			if strings.Join(got, " ") != c.want || (err != nil) != (c.want == "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}
