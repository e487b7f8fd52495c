package proxy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// parts asks for all parts of something, each with the cursor of the one before, and returns the bodies.
func (b *bench) parts(method, path, body string) (all []map[string]any) {
	b.t.Helper()
	cursor := ""
	for range 100 {
		at, ask := path, body
		if method == "GET" && cursor != "" {
			at += "&cursor=" + cursor
		} else if cursor != "" {
			ask = strings.Replace(body, "{", `{"cursor":"`+cursor+`",`, 1)
		}
		a := b.ask(method, "/_partway/"+at, ask, "Authorization", "Bearer "+b.operator())
		b.want(a, 200, "")
		var part map[string]any
		if err := json.Unmarshal([]byte(a.body), &part); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, part)
		cursor, _ = part["next_cursor"].(string)
		if sealed, ok := part["part"].(map[string]any); ok {
			cursor, _ = sealed["next"].(string)
		}
		if cursor == "" {
			return all
		}
	}
	b.t.Fatal("no end")
	return nil
}

func TestTheTrailIsCheckedExportedAndErasedInParts(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.put("acme/alice.bin", "x")
	}
	checked := b.parts("POST", "audit/verify", `{"limit":2}`)
	events := 0.0
	for _, part := range checked {
		events += part["events"].(float64)
		if faults, ok := part["faults"].([]any); !ok || len(faults) != 0 {
			t.Errorf("faults %v", part["faults"])
		}
	}
	if events < 5 || len(checked) < 3 {
		t.Errorf("%v events in %d parts", events, len(checked))
	}

	exported := b.parts("GET", "audit/export?tenant=acme&limit=2", "")
	if exported[0]["head"] == nil || exported[1]["head"] != nil || len(exported) != 3 {
		t.Errorf("an export in %d parts: %v", len(exported), exported)
	}

	erased := b.parts("POST", "tenants/acme/erase", `{}`)
	if erased[0]["events"].(float64) != 5 || erased[0]["until"] == nil {
		t.Errorf("erased %v", erased)
	}
	for _, e := range b.events() {
		if e.Tenant == "acme" && (e.Key != "" || e.Subject != "" || e.ClientAddress != "" || e.Erased == nil) {
			t.Errorf("not erased: %+v", e)
		}
		if e.Operation == "partway:EraseTenant" && (e.Target != "acme" || e.Count != 5 || e.Outcome != "ok") {
			t.Errorf("the event of erasing: %+v", e)
		}
	}
	for _, part := range b.parts("POST", "audit/verify", `{"limit":100}`) {
		if faults := part["faults"].([]any); len(faults) != 0 {
			t.Errorf("faults after erasing: %v", faults)
		}
	}
}

func TestTheSaltOfAnEventIsNotInLists(t *testing.T) {
	b := newBench(t)
	b.put("acme/a", "x")
	a := b.ask("GET", "/_partway/events", "", "Authorization", "Bearer "+b.tenant)
	if b.want(a, 200, ""); !strings.Contains(a.body, "PutObject") || strings.Contains(a.body, `"salt"`) {
		t.Error(a.body)
	}
}

func TestWorkOnTheWholeTrailIsForOperators(t *testing.T) {
	b := newBench(t)
	b.put("acme/a", "x")
	for _, c := range []struct{ method, path, body, code string }{
		{"POST", "audit/verify", `{"cursor":"x"}`, "InvalidArgument"},
		{"POST", "audit/verify", `{"limit":-1}`, "InvalidArgument"},
		{"POST", "audit/verify", `{"x":1}`, "InvalidArgument"},
		{"POST", "audit/verify", `[`, "InvalidArgument"},
		{"GET", "audit/export?cursor=x", "", "InvalidArgument"},
		{"GET", "audit/export?since=yesterday", "", "InvalidArgument"},
		{"POST", "tenants/Acme/erase", `{}`, "InvalidArgument"},
		{"POST", "tenants/acme/erase", `{"until":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`, "InvalidArgument"},
		{"POST", "tenants/acme/erase", `{"cursor":"x"}`, "InvalidArgument"},
	} {
		for bearer, want := range map[string]struct {
			status int
			code   string
		}{b.tenant: {403, "AccessDenied"}, b.operator(): {400, c.code}} {
			a := b.ask(c.method, "/_partway/"+c.path, c.body, "Authorization", "Bearer "+bearer)
			if a.status != want.status || !strings.Contains(a.body, `"code":"`+want.code+`"`) {
				t.Errorf("%s %s: %d %s", c.path, c.body, a.status, a.body)
			}
		}
	}
	for _, e := range b.events() {
		if e.Operation == "PutObject" && e.Key == "" {
			t.Errorf("a refused request has erased %+v", e)
		}
	}
	if list, err := b.store.Erasures(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("erasures %v, %v", list, err)
	}
}

func TestEventsOfOneOperation(t *testing.T) {
	b := newBench(t)
	b.put("acme/a", "x")
	b.complete(key, b.started(key))
	for name, want := range map[string]int{"PutObject": 1, "CreateMultipartUpload": 1, "DeleteObject": 0} {
		a := b.ask("GET", "/_partway/events?operation="+name, "", "Authorization", "Bearer "+b.tenant)
		if b.want(a, 200, ""); strings.Count(a.body, `"operation":`) != want || strings.Count(a.body, `"operation":"`+name+`"`) != want {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	for _, name := range []string{"PutObjects", "putobject", "s3:PutObject", "mark"} {
		a := b.ask("GET", "/_partway/events?operation="+name, "", "Authorization", "Bearer "+b.tenant)
		if a.status != 400 || !strings.Contains(a.body, `"code":"InvalidArgument"`) || !strings.Contains(a.body, "There is no operation") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
