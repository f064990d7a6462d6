package session

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Sendable says whether a message may be sent: text has to be UTF-8 (RFC 6455, 5.6).
func Sendable(binary bool, data []byte) error {
	if !binary && !utf8.Valid(data) {
		return errors.New("a text message has to be UTF-8")
	}
	return nil
}

// RoomName refuses what no room is called (SPEC 14.12).
func RoomName(room string) error {
	if room == "" || strings.IndexByte(room, 0) >= 0 {
		return errors.New("a room's name must not be empty or contain a NUL")
	}
	return nil
}
