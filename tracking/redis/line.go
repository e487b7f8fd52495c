package redis

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"partway/tracking"
)

// millis is how a line writes its Until; 0 is one that counts for good.
func millis(until time.Time) int64 {
	if until.IsZero() {
		return 0
	}
	return until.UnixMilli()
}

// landedField starts the name of the field that says what storage holds of a part.
const landedField = "landed:"

// parseSession reads the hash that ledger.lua describes, names and values alternating.
func parseSession(fields []string) (*tracking.Session, error) {
	var s tracking.Session
	landed := map[int]*tracking.Landed{}
	for pair := range slices.Chunk(fields, 2) {
		var err error
		switch name, value := pair[0], pair[1]; name {
		case "state":
			s.State = tracking.State(value)
		case "sum":
			s.Bytes, err = strconv.ParseInt(value, 10, 64)
		default:
			if number, ok := strings.CutPrefix(name, landedField); ok {
				err = parseLanded(landed, number, value)
				break
			}
			var p tracking.Part
			p, err = parseLine(name, value)
			s.Parts = append(s.Parts, p)
		}
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", pair[0], err)
		}
	}
	for i := range s.Parts {
		s.Parts[i].Landed = landed[s.Parts[i].Number]
	}
	slices.SortFunc(s.Parts, func(a, b tracking.Part) int { return cmp.Compare(a.Number, b.Number) })
	return &s, nil
}

func parseLanded(into map[int]*tracking.Landed, number, text string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var l tracking.Landed
	into[n] = &l
	return json.Unmarshal([]byte(text), &l)
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
