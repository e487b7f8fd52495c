package tracking_test

import (
	"slices"
	"testing"
	"time"

	"partway/tracking"
)

func TestRecordsSortByTheirTimeAndAreUnique(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var names []string
	for n := range 1000 {
		names = append(names, tracking.NewRecord(begin.Add(time.Duration(n)*37*time.Millisecond)))
	}
	if !slices.IsSorted(names) || len(names[0]) != 26 {
		t.Errorf("not by time, or not of 26 characters: %q ...", names[:3])
	}
	for range 1000 {
		names = append(names, tracking.NewRecord(begin))
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != 2000 {
		t.Errorf("2000 records have %d names", n)
	}
}
