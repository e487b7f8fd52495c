package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// series are the label sets of each metric that a gateway exposes.
type series map[string][]map[string]string

var (
	exposed  = regexp.MustCompile(`(?m)^([a-z_:]+)(?:\{(.*)\})? `)
	labelled = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	selector = regexp.MustCompile(`\b((?:partway|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

func seriesOf(text string) series {
	all := series{}
	for _, line := range exposed.FindAllStringSubmatch(text, -1) {
		labels := map[string]string{}
		for _, l := range labelled.FindAllStringSubmatch(line[2], -1) {
			labels[l[1]] = l[3]
		}
		all[line[1]] = append(all[line[1]], labels)
	}
	return all
}

// has reports whether a metric has a label. Prometheus itself adds job and instance.
func (s series) has(metric, label string) bool {
	return label == "job" || label == "instance" || slices.ContainsFunc(s[metric], func(l map[string]string) bool { _, ok := l[label]; return ok })
}

// faults are the names in a query that no gateway exposes.
func (s series) faults(query string) (faults []string) {
	var metrics []string
	for _, found := range selector.FindAllStringSubmatch(query, -1) {
		metrics = append(metrics, found[1])
		if len(s[found[1]]) == 0 {
			faults = append(faults, found[1])
			continue
		}
		for _, l := range labelled.FindAllStringSubmatch(found[2], -1) {
			if !s.has(found[1], l[1]) {
				faults = append(faults, found[1]+" has no "+l[1])
			}
		}
	}
	for _, by := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(by[1], ",") {
			label = strings.TrimSpace(label)
			if !slices.ContainsFunc(metrics, func(m string) bool { return s.has(m, label) }) {
				faults = append(faults, "nothing has "+label)
			}
		}
	}
	return faults
}

// queries are all that a document asks of Prometheus: under "expr", wherever that stands.
func queries(document any) (all []string) {
	switch d := document.(type) {
	case map[string]any:
		for name, inner := range d {
			if text, ok := inner.(string); ok && name == "expr" {
				all = append(all, text)
			}
			all = append(all, queries(inner)...)
		}
	case []any:
		for _, inner := range d {
			all = append(all, queries(inner)...)
		}
	}
	return all
}

// What the dashboard and the alerts ask for is what a gateway tells, so that no panel stays empty and no alert silent because of a name.
func TestDashboardAndAlertsAskForWhatIsThere(t *testing.T) {
	c, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, StorageTLS: c, Config: []string{
		"server: {tls: {cert_file: " + c.Cert + ", key_file: " + c.Key + "}}",
		"notifications: [{name: n, url: \"http://127.0.0.1:1/\", secret: \"ZXhhbXBsZS1vbmx5LWRvLW5vdC11c2Uh\"}]",
	}})
	if err := s.Gateway.Trust(c.CA); err != nil {
		t.Fatal(err)
	}
	n := s.NewTenant(t)
	finish(t, n, n.Prefix+"relayed", create(t, n, n.Prefix+"relayed"))
	granted(t, n, redirected(n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+n.Prefix+"redirected", "redirected")))
	var told series
	err = harness.Await(withTimeout(t, 20*time.Second), "the first look at uploads and servers", s.Gateway.Process, func() bool {
		text, err := harness.Run(t.Context(), nil, "curl", "-sS", "--fail", "--cacert", c.CA, "-H", "Authorization: Bearer "+n.Gateway.Operator, n.Gateway.Endpoint+"/_partway/metrics")
		if err != nil {
			t.Error(err)
		}
		told = seriesOf(text)
		return len(told["partway_uploads_bytes"]) == 2 && len(told["partway_dependency_up"]) == 3
	})
	if err != nil {
		t.Fatal(err)
	}

	deploy := filepath.Join(harness.Root(), "deploy")
	dashboard, err := os.ReadFile(filepath.Join(deploy, "grafana", "partway.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(dashboard, &document); err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(filepath.Join(deploy, "prometheus", "partway.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asked := queries(document)
	for rule := range strings.SplitSeq(string(rules), "- alert: ") {
		_, expr, _ := strings.Cut(rule, "expr:")
		expr, _, _ = strings.Cut(expr, "labels:")
		asked = append(asked, expr)
	}
	for _, query := range asked {
		for _, fault := range told.faults(query) {
			t.Errorf("no gateway tells %s, which is asked for by %s", fault, query)
		}
	}
	// And what a gateway tells of itself is somewhere to be seen.
	for name := range told {
		family := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "partway_") && !strings.Contains(strings.Join(asked, " "), family) {
			t.Errorf("%s is on no panel and in no alert", name)
		}
	}
	if len(asked) < 40 || len(told.faults(`sum by (nowhere) (partway_uploads{tenant="a"} + partway_none)`)) != 3 {
		t.Errorf("%d queries; this test finds nothing", len(asked))
	}
}

func TestAlertsFireWhenTheyMust(t *testing.T) {
	for _, arguments := range [][]string{{"check", "rules", "partway.rules.yaml"}, {"test", "rules", "partway.test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", arguments...)
		cmd.Dir = filepath.Join(harness.Root(), "deploy", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}
	// A query that Prometheus cannot read is an empty panel.
	text, err := os.ReadFile(filepath.Join(harness.Root(), "deploy", "grafana", "partway.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: panels\n    rules:\n")
	for _, query := range queries(document) {
		quoted, err := json.Marshal(strings.ReplaceAll(query, "$__rate_interval", "5m"))
		if err != nil {
			t.Fatal(err)
		}
		rules.WriteString("      - {alert: Panel, expr: " + string(quoted) + "}\n")
	}
	file := filepath.Join(t.TempDir(), "panels.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("the dashboard's queries: %v\n%s", err, out)
	}
}
