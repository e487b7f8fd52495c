package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTracingThatCannotWorkIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ tracing, want string }{
		"no URL":                {`{endpoint: "localhost:4318"}`, "tracing.endpoint"},
		"another scheme":        {`{endpoint: "grpc://localhost:4317"}`, "tracing.endpoint"},
		"a password in the URL": {`{endpoint: "http://me:canary@localhost:4318"}`, "tracing.endpoint"},
		"a key in the URL":      {`{endpoint: "https://traces.example.com/v1/traces?key=canary"}`, "tracing.endpoint"},
		"no name of a header":   {`{headers: {"canary key": x}}`, "tracing.headers"},
		"a header in a value":   {`{headers: {key: "canary\r\nHost: elsewhere"}}`, "tracing.headers"},
		"more than all":         {`{sample: 1.5}`, "tracing.sample"},
		"less than nothing":     {`{sample: -0.1}`, "tracing.sample"},
		"not a number":          {`{sample: .nan}`, "tracing.sample"},
		"a word":                {`{sample: some}`, "is not a number"},
		"an unknown key":        {`{protocol: grpc}`, "tracing.protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, works+"tracing: "+c.tracing+"\n")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error about %s", err, c.want)
			} else if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows what may be a secret: %v", err)
			}
		})
	}
}

func TestTracingFromTheEnvironment(t *testing.T) {
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("{x-key: abc}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, works+"tracing: {endpoint: \"http://localhost:4318\", sample: 0.25}\n", "PARTWAY_CFG_TRACING__HEADERS_FILE="+headers)
	if err != nil {
		t.Fatal(err)
	}
	if c.Tracing.Headers["x-key"] != "abc" || c.Tracing.Sample != 0.25 || c.Tracing.TrustParent {
		t.Errorf("%+v", c.Tracing)
	}
}
