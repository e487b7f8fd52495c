package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// twoGateways are two processes on one MongoDB, Redis and storage, and a tenant by way of each.
func twoGateways(t *testing.T) (a, b *harness.Tenant) {
	t.Helper()
	return twoGatewaysOn(t, harness.Setup{Mongo: harness.SecantusDB})
}

func twoGatewaysOn(t *testing.T, setup harness.Setup) (a, b *harness.Tenant) {
	t.Helper()
	first := ownStack(t, setup)
	second, err := first.Another(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	a = first.NewTenant(t)
	return a, a.At(t, second)
}

func TestAnUploadOverTwoGateways(t *testing.T) {
	a, b := twoGateways(t)
	key := a.Prefix + "shared"
	id := create(t, a, key)
	parts := []string{strings.Repeat("a", 5*mib), strings.Repeat("b", 5*mib), "c"}
	etags := make([]string, len(parts))
	together(t, len(parts), func(i int) {
		n := []*harness.Tenant{a, b}[i%2]
		put := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber="+string(rune('1'+i))+"&uploadId="+id, parts[i]))
		if put.StatusCode != http.StatusOK {
			t.Errorf("part %d: %s %s", i+1, put.Status, put.Text)
		}
		etags[i] = put.Header.Get("ETag")
	})
	first := complete(t, b, key, id, etags...)
	if first.StatusCode != http.StatusOK || first.Code != "" {
		t.Fatalf("Complete: %s %s", first.Status, first.Text)
	}
	for _, n := range []*harness.Tenant{a, b} {
		if again := complete(t, n, key, id, etags...); again.StatusCode != http.StatusOK || sansHost(again.Text) != sansHost(first.Text) {
			t.Errorf("the same Complete again: %s %s\nthe first: %s", again.Status, again.Text, first.Text)
		}
		if get := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+key, "")); get.Text != strings.Join(parts, "") {
			t.Errorf("%d bytes back that are not the parts", len(get.Text))
		}
	}
	if second := create(t, a, key); second == id {
		t.Error("a new upload has the id of the old")
	} else if gone := b.Do(t, b.Request(t, http.MethodDelete, "/"+harness.Bucket+"/"+key+"?uploadId="+second, "")); gone.StatusCode != http.StatusNoContent {
		t.Errorf("abort on the other gateway: %s %s", gone.Status, gone.Text)
	} else {
		part := a.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+second, "late")
		refused(t, a, a.Do(t, part), 404, "NoSuchUpload", true)
	}
}

func TestConcurrentCompletesOverTwoGateways(t *testing.T) {
	a, b := twoGateways(t)
	for round := range 3 {
		key := a.Prefix + "raced" + string(rune('0'+round))
		id := create(t, a, key)
		put := b.Do(t, b.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, "part"))
		answers := make([]harness.Answer, 8)
		together(t, len(answers), func(i int) {
			answers[i] = complete(t, []*harness.Tenant{a, b}[i%2], key, id, put.Header.Get("ETag"))
		})
		for i, answer := range answers {
			if answer.StatusCode != http.StatusOK || answer.Code != "" || sansHost(answer.Text) != sansHost(answers[0].Text) {
				t.Errorf("Complete %d: %s %s\nthe first: %s", i, answer.Status, answer.Text, answers[0].Text)
			}
		}
	}
}

// sansHost is an answer without the port of the tap that it came by, which its Location names.
func sansHost(text string) string {
	before, rest, _ := strings.Cut(text, "<Location>")
	_, after, _ := strings.Cut(rest, "</Location>")
	return before + after
}

func TestRevokedOnOneGatewayRefusedByTheOther(t *testing.T) {
	a, b := twoGateways(t)
	token, err := a.Gateway.Issue(t.Context(), a.Name, "key", time.Hour, harness.Scope{Bucket: harness.Bucket, Prefix: a.Prefix, Actions: []string{"s3:*"}})
	if err != nil {
		t.Fatal(err)
	}
	if ok := listWith(t, b, token.Keys); ok.StatusCode != http.StatusOK {
		t.Fatalf("before: %s %s", ok.Status, ok.Text)
	}
	if err := a.Gateway.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, b, awaitRefusal(t, b, token.Keys), 400, "InvalidToken", false)
}
