package mongo

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"partway/tracking"
)

// pageLimit is the size of a page for a query's Limit.
func pageLimit(limit int) int {
	if limit == 0 {
		return 100
	}
	return limit
}

// formatCursor and parseCursor carry a place in a list through the caller, who treats it as opaque.
func formatCursor(at any) string {
	text, err := json.Marshal(at)
	if err != nil {
		panic(err) // times, strings and integers only
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(s string, at interface{ complete() bool }) error {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(text, at)
	}
	if err != nil || !at.complete() { // incomplete: of another list
		return fmt.Errorf("mongodb: %w", tracking.ErrBadCursor)
	}
	return nil
}

// prefixRange matches the strings that start with prefix; its $gte comes first. A range uses the index whatever the prefix
// holds; a regular expression would need its characters quoted, and only some servers turn it into a range.
func prefixRange(prefix string) bson.D {
	r := bson.D{{Key: "$gte", Value: prefix}}
	if end := behindPrefix(prefix); end != "" {
		r = append(r, bson.E{Key: "$lt", Value: end})
	}
	return r
}

// behindPrefix is the least string greater than all that start with prefix, "" if there is none. UTF-8 sorts as its code
// points do, so it is the prefix with its last code point raised by one.
func behindPrefix(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch last {
		case utf8.MaxRune:
			continue // nothing is above it here: raise the one before
		case 0xD7FF:
			return prefix + "\uE000" // between them lie the surrogates, which UTF-8 has not
		default:
			return prefix + string(last+1)
		}
	}
	return ""
}
