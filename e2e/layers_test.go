package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// The rules of .golangci.yml's depguard, from what the compiler sees, so that `make test` holds them without the linter.
func TestLayers(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	cmd.Dir = harness.Root()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, imported := range fields[1:] {
			if why := forbidden(fields[0], imported); why != "" {
				t.Errorf("%s imports %s: %s", fields[0], imported, why)
			}
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"partway/auth", "partway/auth/sigv4", true},
		{"partway/auth", "partway/tracking", false},
		{"partway/tracking/mongo", "partway/tracking", true},
		{"partway/tracking", "partway/auth", false},
		{"partway/proxy/relay", "partway/auth/sigv4", true},
		{"partway/proxy/relay", "partway/proxy/storage", false},
		{"partway/proxy/storage", "partway/proxy/relay", true},
		{"partway/proxy", "partway/tracking", true},
		{"partway/proxy", "partway/tracking/mongo", false},
		{"partway/cmd/partway", "partway/tracking/mongo", true},
		{"partway/proxy", "partway/cmd/partway/config", false},
		{"partway/auth", "github.com/gofiber/fiber/v2", false},
		{"partway/proxy", "github.com/gofiber/fiber/v2", true},
		{"partway/proxy", "github.com/aws/aws-sdk-go-v2/aws", false},
		{"partway/proxy/storage", "github.com/aws/aws-sdk-go-v2/service/s3", true},
		{"partway/cmd/partway", "go.etcd.io/bbolt", false},
		{"partway/tracking/bolt", "go.etcd.io/bbolt", true},
		{"partway/agent", "partway/proxy/awschunked", true},
		{"partway/agent", "partway/proxy/relay", false},
		{"partway/agent", "partway/auth", false},
		{"partway/proxy", "go.opentelemetry.io/otel/trace", true},
		{"partway/proxy", "go.opentelemetry.io/otel/sdk/trace", false},
		{"partway/cmd/partway", "go.opentelemetry.io/otel/sdk/trace", true},
	} {
		if why := forbidden(c.from, c.to); (why == "") != c.allowed {
			t.Errorf("%s imports %s: %q, want allowed %v", c.from, c.to, why, c.allowed)
		}
	}
}

// forbidden says why a package must not import another, or "".
func forbidden(from, imported string) string {
	in := func(path string, prefixes ...string) bool {
		for _, p := range prefixes {
			if path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
		return false
	}
	ours := in(imported, "partway")
	switch {
	case ours && in(imported, "partway/cmd") && !in(from, "partway/cmd"):
		return "cmd constructs; nothing reaches back into it"
	case ours && in(from, "partway/auth") && !in(imported, "partway/auth"):
		return "auth stands alone"
	case ours && in(from, "partway/tracking") && !in(imported, "partway/tracking"):
		return "tracking stands alone"
	case ours && in(from, "partway/agent") && !in(imported, "partway/auth/sigv4", "partway/proxy/awschunked"):
		return "the agent is a client; it shares algorithms with the gateway and nothing else"
	case ours && in(from, "partway/proxy/relay") && !in(imported, "partway/auth/sigv4"):
		return "relay moves bytes and knows no S3"
	case ours && in(from, "partway/proxy/storage") && !in(imported, "partway/auth/sigv4", "partway/proxy/relay"):
		return "storage answers calls; the caller records"
	case ours && in(from, "partway/proxy") && in(imported, "partway/tracking/bolt", "partway/tracking/mongo", "partway/tracking/redis", "partway/tracking/memory"):
		return "cmd alone constructs stores"
	case in(imported, "github.com/gofiber/fiber", "github.com/valyala/fasthttp") && !in(from, "partway/proxy", "partway/cmd"):
		return "fiber stays in proxy and cmd"
	case in(imported, "github.com/aws/aws-sdk-go-v2") && !in(from, "partway/proxy/storage"):
		return "the S3 SDK serves the gateway's own calls, in proxy/storage"
	case in(imported, "github.com/redis/go-redis", "go.mongodb.org/mongo-driver", "go.etcd.io/bbolt") && !in(from, "partway/tracking"):
		return "every promise about state is made in tracking"
	case in(imported, "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters") && !in(from, "partway/cmd"):
		return "spans are made through the API; cmd says where they go"
	}
	return ""
}
