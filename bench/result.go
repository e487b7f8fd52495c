package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// result is one run: where and when, and what was measured.
type result struct {
	Date     time.Time         `json:"date"`
	Revision string            `json:"revision"` // of the repository; "" if it cannot be told
	Go       string            `json:"go"`
	CPU      string            `json:"cpu"`
	CPUs     int               `json:"cpus"`
	Kernel   string            `json:"kernel"`
	Load     string            `json:"load"` // averages of 1, 5 and 15 minutes when the run began
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Series   []*series         `json:"series"`
}

// series is one quantity of one subject, a value for each round.
type series struct {
	Measure string    `json:"measure"`
	Subject string    `json:"subject"`
	Metric  string    `json:"metric"`
	Values  []float64 `json:"values"`
}

func newResult(o *options) *result {
	return &result{
		Date: time.Now().UTC().Truncate(time.Second), Revision: revision(), Go: runtime.Version(), CPU: cpuModel(), CPUs: runtime.NumCPU(), Kernel: kernel(),
		Load: load(), Versions: versions(o), Rounds: o.rounds,
	}
}

// find returns nil for what was not measured.
func (r *result) find(measure, subject, metric string) *series {
	for _, s := range r.Series {
		if s.Measure == measure && s.Subject == subject && s.Metric == metric {
			return s
		}
	}
	return nil
}

func (r *result) add(measure, subject, metric string, value float64) {
	s := r.find(measure, subject, metric)
	if s == nil {
		s = &series{Measure: measure, Subject: subject, Metric: metric}
		r.Series = append(r.Series, s)
	}
	// Five digits are more than any of this can tell.
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 5, 64), 64)
	s.Values = append(s.Values, rounded)
}

// addTimes adds the percentiles of durations, in milliseconds.
func (r *result) addTimes(measure, subject, what string, times []time.Duration) {
	for _, q := range []int{50, 95, 99} {
		r.add(measure, subject, fmt.Sprintf("%s ms p%d", what, q), quantile(times, float64(q)/100))
	}
}

// subjects of a measure, in the order in which they were measured.
func (r *result) subjects(measure string) (out []string) {
	for _, s := range r.Series {
		if s.Measure == measure && !slices.Contains(out, s.Subject) {
			out = append(out, s.Subject)
		}
	}
	return out
}

func (s *series) median() float64 {
	sorted := slices.Sorted(slices.Values(s.Values))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}

// over is s divided round by round: what disturbed a round met both.
func (s *series) over(base *series) *series {
	out := &series{Measure: s.Measure, Subject: s.Subject, Metric: s.Metric}
	for i := range min(len(s.Values), len(base.Values)) {
		if base.Values[i] != 0 {
			out.Values = append(out.Values, s.Values[i]/base.Values[i])
		}
	}
	return out
}

func quantile(times []time.Duration, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}

// write makes DATE.json and DATE.md, and the plots, which show the last run and carry its date.
func (r *result) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	name := r.Date.Format("2006-01-02T1504")
	text := r.text()
	for file, content := range map[string][]byte{name + ".json": onLines(raw), name + ".md": []byte(text), "relay.svg": r.relayPlot(), "requests.svg": r.requestPlot()} {
		if content == nil { // not measured
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s\nwritten to %s\n", text, filepath.Join(dir, name+".{json,md}"))
	return nil
}

var numbers = regexp.MustCompile(`\[[\s\d.,e+-]+\]`)

// onLines writes each list of numbers on one line.
func onLines(indented []byte) []byte {
	return append(numbers.ReplaceAllFunc(indented, func(list []byte) []byte { return []byte(strings.Join(strings.Fields(string(list)), " ")) }), '\n')
}

func readResult(path string) (*result, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(result)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
