package auth

import (
	"strings"
	"sync"
)

// tokenCache remembers verified tokens by their exact text, since verifying costs a hundred times a look-up. Only tokens
// that were verified get in, so a flood of forged ones displaces nothing. Two generations bound it: when the young one
// is full it becomes the old one, and what is not asked for until the next change is forgotten.
type tokenCache struct {
	mu         sync.Mutex
	young, old map[string]*verifiedToken
	generation int // tokens in one
}

func newTokenCache(generation int) *tokenCache {
	return &tokenCache{young: make(map[string]*verifiedToken), generation: generation}
}

func (c *tokenCache) get(text string) *verifiedToken {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.young[text]; t != nil {
		return t
	}
	t := c.old[text]
	if t != nil {
		c.add(text, t)
	}
	return t
}

func (c *tokenCache) put(text string, t *verifiedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(text, t)
}

// add clones the text, which may be cut from a request whose memory is used again.
func (c *tokenCache) add(text string, t *verifiedToken) {
	if len(c.young) >= c.generation {
		c.old, c.young = c.young, make(map[string]*verifiedToken)
	}
	c.young[strings.Clone(text)] = t
}
