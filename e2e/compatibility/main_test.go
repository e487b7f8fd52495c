package main

import (
	"strings"
	"testing"
	"time"
)

func TestPageHasEachRunAndEachClientOnce(t *testing.T) {
	results, err := read(strings.NewReader(`
{"client":"tool","version":"1","scheme":"http","settings":"a = b","operations":{"PutObject":"relay"},"bodies":{"PutObject":["sha256"]},"commands":["tool put FILE"]}
{"client":"tool","version":"1","scheme":"https","operations":{"PutObject":"relay","HeadObject":"none"},"bodies":{"PutObject":["trailer"]},"commands":["tool put other"]}`))
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := write(&page, results, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1970-01-01", "| tool | 1 | http | `a = b` | PutObject: sha256 |\n", "| tool | 1 | https |  | PutObject: trailer |\n",
		"| tool | PutObject | HeadObject |\n", "tool:\n\n```\ntool put FILE\n```\n",
	} {
		if strings.Count(page.String(), want) != 1 {
			t.Errorf("the page does not say once %q:\n%s", want, &page)
		}
	}
}

func TestNoResultsIsAnError(t *testing.T) {
	for _, in := range []string{"", "{"} {
		if _, err := read(strings.NewReader(in)); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}
