package wire

import "errors"

// Why a frame is refused (SPEC 25.3).
var (
	ErrTruncated        = errors.New("decoding a frame: it is cut short")
	ErrTrailing         = errors.New("decoding a frame: bytes follow it")
	ErrType             = errors.New("decoding a frame: an element has another type")
	ErrUTF8             = errors.New("decoding a frame: a text is not UTF-8")
	ErrDepth            = errors.New("decoding a frame: it nests too deep")
	ErrRange            = errors.New("decoding a frame: a number is out of range")
	ErrMissing          = errors.New("decoding a frame: a required element is missing")
	ErrSessionID        = errors.New("decoding a frame: a session id has not 16 bytes")
	ErrUnknownFrame     = errors.New("decoding a frame: its type is unknown")
	ErrUnknownOperation = errors.New("decoding a frame: an operation is unknown")
	ErrVersion          = errors.New("decoding a frame: it speaks another version")
)
