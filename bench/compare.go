package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// compareFiles is `bench compare OLD NEW`.
func compareFiles(args []string) error {
	if len(args) != 2 {
		return errors.New("compare OLD.json NEW.json")
	}
	before, err := readResult(args[0])
	if err != nil {
		return err
	}
	after, err := readResult(args[1])
	if err != nil {
		return err
	}
	compare(os.Stdout, before, after)
	return nil
}

// compare prints the gateway's figures in two runs, as ratios to what stood beside it in the same run, and calls worse or better what lies
// beyond the other run's spread.
func compare(w io.Writer, before, after *result) {
	fmt.Fprintf(w, "| %s to %s | before | after | |\n|---|---|---|---|\n", before.Date.Format("2006-01-02 15:04"), after.Date.Format("2006-01-02 15:04"))
	worse := 0
	for _, s := range after.Series {
		then, now, over := before.relative(s), after.relative(s), yardstick(s)
		if then == nil || now == nil || !strings.HasPrefix(s.Subject, "partway") && s.Measure != "open" {
			continue
		}
		verdict := verdictOf(then, now, moreIsBetter(s.Metric))
		if verdict == "worse" {
			worse++
		}
		fmt.Fprintf(w, "| %s, %s: %s%s | %s | %s | %s |\n", s.Measure, s.Subject, s.Metric, over.words(), span(then), span(now), verdict)
	}
	fmt.Fprintf(w, "\n%d figures got worse than the spread of either run.\n", worse)
}

// base says what a figure is divided by.
type base struct{ measure, subject, metric string }

func (b *base) words() string {
	if b == nil || b.measure == "" {
		return ""
	}
	return " / " + b.subject + "'s"
}

// yardstick returns what to divide s by so that the machine's speed falls out; an empty one for memory, which does not depend on it; nil if there is none.
func yardstick(s *series) *base {
	switch {
	case strings.Contains(s.Metric, "iB") && !strings.HasPrefix(s.Metric, "CPU") && s.Metric != "GiB/s":
		return &base{}
	case s.Measure == "http" || s.Measure == "https" || strings.HasPrefix(s.Measure, "parts"):
		return &base{s.Measure, "nginx", s.Metric}
	case s.Measure == "direct" && s.Metric == "seconds":
		return &base{s.Measure, "straight to storage", s.Metric}
	case strings.Contains(s.Metric, "CPU us"):
		return &base{"control", "nothing", "CPU us/call"}
	case moreIsBetter(s.Metric):
		return &base{"control", "nothing", "calls/s"}
	}
	return nil
}

// relative is the series of s in r over its yardstick: round by round where both were measured in the same rounds, else over its median.
func (r *result) relative(s *series) *series {
	mine, over := r.find(s.Measure, s.Subject, s.Metric), yardstick(s)
	if mine == nil || over == nil || over.measure == "" && over.subject == "" {
		if over == nil {
			return nil
		}
		return mine
	}
	by := r.find(over.measure, over.subject, over.metric)
	if by == nil {
		return nil
	}
	if over.measure == s.Measure {
		return mine.over(by)
	}
	return mine.over(&series{Values: slices.Repeat([]float64{by.median()}, len(mine.Values))})
}

func moreIsBetter(metric string) bool {
	return strings.HasSuffix(metric, "/s") || metric == "per second"
}

// verdictOf: two runs differ if no value of the one lies within the other.
func verdictOf(then, now *series, more bool) string {
	above := slices.Min(now.Values) > slices.Max(then.Values)
	below := slices.Max(now.Values) < slices.Min(then.Values)
	switch {
	case above && more, below && !more:
		return "better"
	case above, below:
		return "worse"
	}
	return ""
}

func span(s *series) string {
	return fmt.Sprintf("%s (%s to %s)", number(s.median()), number(slices.Min(s.Values)), number(slices.Max(s.Values)))
}
