// The callers of a token file, by the SHA-256 of their token. The file is read once.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

type caller struct {
	project   string
	mayReport bool
	expiresAt time.Time
}

type tokens map[[sha256.Size]byte]caller

func readTokens(path string) (tokens, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := tokens{}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		var line struct {
			SHA256    string    `json:"sha256"`
			Project   string    `json:"project"`
			Roles     []string  `json:"roles"`
			ExpiresAt time.Time `json:"expires_at"`
		}
		var digest [sha256.Size]byte
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			return nil, fmt.Errorf("%s, line %d: not a token: write it with `taskstream token`", path, number)
		}
		if read, err := hex.Decode(digest[:], []byte(line.SHA256)); err != nil || read != sha256.Size {
			return nil, fmt.Errorf("%s, line %d: sha256 is not 64 hex digits", path, number)
		}
		found[digest] = caller{line.Project, slices.Contains(line.Roles, "report"), line.ExpiresAt}
	}
	return found, lines.Err()
}

// caller returns whose token it is, and false for an unknown or expired one.
func (t tokens) caller(token string, now time.Time) (caller, bool) {
	if token == "" {
		return caller{}, false
	}
	found, known := t[sha256.Sum256([]byte(token))]
	return found, known && (found.expiresAt.IsZero() || now.Before(found.expiresAt))
}
