package mongo

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBehindPrefix(t *testing.T) {
	for _, c := range []struct{ name, prefix, want string }{
		{"empty: nothing is behind", "", ""},
		{"ascii", "acme/", "acme0"},
		{"last of one byte", "\x7f", "\u0080"},
		{"before the surrogates", "a\ud7ff", "a\ue000"},
		{"before the next plane", "\uffff", "\U00010000"},
		{"greatest: the one before is raised", "a\U0010ffff", "b"},
		{"all greatest: nothing is behind", "\U0010ffff\U0010ffff", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := behindPrefix(c.prefix); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRangeOfAPrefixHoldsWhatStartsWithIt(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune{'a', 'b', '\u007f', '\u0080', '\ud7ff', '\ue000', '\uffff', '\U00010000', '\U0010ffff'}))
	rapid.Check(t, func(t *rapid.T) {
		prefix, s := text.Draw(t, "prefix"), text.Draw(t, "s")
		end := behindPrefix(prefix)
		if got := s >= prefix && (end == "" || s < end); got != strings.HasPrefix(s, prefix) {
			t.Errorf("%q in [%q, %q): %v", s, prefix, end, got)
		}
	})
}
