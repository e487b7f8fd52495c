package auth

import "testing"

func TestAnOriginIsWrittenAsBrowsersSendIt(t *testing.T) {
	for origin, good := range map[string]bool{
		"https://app.example.com":      true,
		"http://localhost:5173":        true,
		"http://[::1]:5173":            true,
		"":                             false,
		"*":                            false,
		"null":                         false,
		"https://*.example.com":        false,
		"https://app.example.com/":     false,
		"https://app.example.com:443":  false,
		"http://app.example.com:80":    false,
		"https://app.example.com:":     false,
		"https://App.example.com":      false,
		"HTTPS://app.example.com":      false,
		"https://user@app.example.com": false,
		"https://:443":                 false,
		"app.example.com":              false,
		"ftp://app.example.com":        false,
		"https://a https://b":          false,
	} {
		if err := ValidOrigin(origin); (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
	}
}
