package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func newTestResult(partway, nginx []float64) *result {
	return &result{Series: []*series{
		{Measure: "http", Subject: "nginx", Metric: "CPU s/GiB", Values: nginx},
		{Measure: "http", Subject: "partway", Metric: "CPU s/GiB", Values: partway},
	}}
}

func TestCompareTellsAWorseGatewayFromASlowerMachine(t *testing.T) {
	before := newTestResult([]float64{0.5, 0.6, 0.55}, []float64{1, 1, 1})
	for _, c := range []struct {
		name           string
		partway, nginx []float64
		verdict        string
	}{
		{"as before", []float64{0.55, 0.5, 0.6}, []float64{1, 1, 1}, " |  |"},
		{"a machine at half the speed", []float64{1, 1.2, 1.1}, []float64{2, 2, 2}, " |  |"},
		{"twice the work", []float64{1, 1.2, 1.1}, []float64{1, 1, 1}, "| worse |"},
		{"half the work", []float64{0.25, 0.3, 0.28}, []float64{1, 1, 1}, "| better |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			compare(&out, before, newTestResult(c.partway, c.nginx))
			if !strings.Contains(out.String(), c.verdict) {
				t.Errorf("no %q in\n%s", c.verdict, out.String())
			}
		})
	}
}

func TestGoalsAreMetUpToTheirBound(t *testing.T) {
	r := newTestResult([]float64{0.65}, []float64{1})
	atMost := goal{measure: "http", metric: "CPU s/GiB", subject: "partway", over: "nginx", bound: 0.65}
	atLeast := atMost
	atLeast.atLeast = true
	for _, c := range []struct {
		name  string
		goal  goal
		bound float64
		met   bool
	}{
		{"at the ceiling", atMost, 0.65, true},
		{"above it", atMost, 0.6, false},
		{"at the floor", atLeast, 0.65, true},
		{"below it", atLeast, 0.7, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.goal.bound = c.bound
			if _, met, ok := c.goal.reached(r); met != c.met || !ok {
				t.Errorf("met %v, measured %v; want met %v", met, ok, c.met)
			}
		})
	}
	if _, _, ok := (&goal{measure: "https", metric: "CPU s/GiB", subject: "partway"}).reached(r); ok {
		t.Error("what was not measured counts as measured")
	}
}

func TestThePlotIsWellFormed(t *testing.T) {
	r := newTestResult([]float64{0.5, 0.6}, []float64{1, 1})
	r.CPU = `"<&>" CPU`
	d := xml.NewDecoder(bytes.NewReader(r.relayPlot()))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r.requestPlot() != nil {
		t.Error("a plot of what was not measured")
	}
}
