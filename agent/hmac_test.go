package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"partway/auth/sigv4"
)

func hmacHex(key sigv4.Key, text string) string {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}
