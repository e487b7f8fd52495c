package redis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"partway/tracking"
)

// millis is how a line writes its Until; 0 is a part that landed.
func millis(until time.Time) int64 {
	if until.IsZero() {
		return 0
	}
	return until.UnixMilli()
}

// parseSession reads the hash that ledger.lua describes, names and values alternating.
func parseSession(fields []string) (*tracking.Session, error) {
	var s tracking.Session
	for pair := range slices.Chunk(fields, 2) {
		var err error
		switch name, value := pair[0], pair[1]; name {
		case "state":
			s.State = tracking.State(value)
		case "sum":
			s.Bytes, err = strconv.ParseInt(value, 10, 64)
		default:
			var p tracking.Part
			p, err = parseLine(name, value)
			s.Parts = append(s.Parts, p)
		}
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", pair[0], err)
		}
	}
	slices.SortFunc(s.Parts, func(a, b tracking.Part) int { return cmp.Compare(a.Number, b.Number) })
	return &s, nil
}

// parseLine reads "bytes until road checksum".
func parseLine(number, line string) (p tracking.Part, err error) {
	words := strings.SplitN(line, " ", 4)
	if len(words) != 4 {
		return p, fmt.Errorf("not a part's line: %q", line)
	}
	p.Road, p.Checksum = words[2], words[3]
	if p.Number, err = strconv.Atoi(number); err != nil {
		return p, err
	}
	if p.Bytes, err = strconv.ParseInt(words[0], 10, 64); err != nil {
		return p, err
	}
	until, err := strconv.ParseInt(words[1], 10, 64)
	if until != 0 {
		p.Until = time.UnixMilli(until).UTC()
	}
	return p, err
}
