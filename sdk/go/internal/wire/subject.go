package wire

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
)

// ErrName is why a name cannot be part of a subject.
var ErrName = errors.New("building a subject: the name is empty")

// ErrLength is why names that are too long cannot be part of a subject.
var ErrLength = fmt.Errorf("building a subject: it is longer than %d bytes", MaxSubject)

// MaxSubject is the longest subject, in bytes: a server closes the connection of a client whose line in the protocol of NATS
// is longer than 4,096 (SPEC 2.1).
const MaxSubject = 1024

// ErrPrefix is why a prefix cannot lead a subject.
var ErrPrefix = errors.New("building a subject: the prefix is not tokens of [A-Za-z0-9_-] joined by dots")

func plain(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// Escape makes one token of a name (SPEC 2.1).
func Escape(name string) (string, error) {
	if name == "" {
		return "", ErrName
	}
	var token strings.Builder
	for _, b := range []byte(name) {
		if plain(b) {
			token.WriteByte(b)
		} else {
			fmt.Fprintf(&token, "=%02X", b)
		}
	}
	return token.String(), nil
}

// Subject builds `<prefix>.v1.<kind>.<name>…`.
func Subject(prefix, kind string, names ...string) (string, error) {
	for _, token := range strings.Split(prefix, ".") {
		if token == "" || strings.IndexFunc(token, func(r rune) bool { return r > 127 || !plain(byte(r)) }) >= 0 {
			return "", ErrPrefix
		}
	}
	subject := prefix + ".v1." + kind
	for _, name := range names {
		token, err := Escape(name)
		if err != nil {
			return "", err
		}
		subject += "." + token
	}
	if len(subject) > MaxSubject {
		return "", ErrLength
	}
	return subject, nil
}

// ServiceName is the name of a group in the NATS service protocol (SPEC 2.4).
func ServiceName(group string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 128 && plain(byte(r)) {
			return r
		}
		return '_'
	}, group)
	if clean == group {
		return group
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(group)) // never fails
	return fmt.Sprintf("%s-%08x", clean, hash.Sum32())
}
